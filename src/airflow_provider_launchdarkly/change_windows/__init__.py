"""Change windows: business hours, weekdays and blackouts for giving people something new. Pure."""
