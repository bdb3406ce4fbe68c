"""What the experiments of a quarter are worth together: shrunken effects and false ships, from decision records."""
