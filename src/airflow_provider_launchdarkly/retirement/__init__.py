"""When a flag has done its work: what still speaks against archiving it, and what a team has forgotten. No Airflow."""
