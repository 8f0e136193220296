"""What is proved of each unit: one module per unit with a function `twins`."""
