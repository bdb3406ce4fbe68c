"""What `make calibrate` measures: worlds of known truth, judged by the vectorised judge, and the bar of each figure."""
