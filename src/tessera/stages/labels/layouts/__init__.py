"""The layouts of sets of labelled images: which image has which labels, a module per format. Nothing in a set is trusted."""
