"""Messages for people: the decision cards, and a notifier that sends them."""
