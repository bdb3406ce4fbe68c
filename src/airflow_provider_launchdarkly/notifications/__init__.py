"""What people are told, and how it reaches them: message templates, and a notifier that hands them on."""
