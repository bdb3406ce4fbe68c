"""The worth of a quarter's experiments together: shrunken effects and false ships, from decision records."""
