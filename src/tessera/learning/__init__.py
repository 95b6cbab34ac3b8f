"""What all models share: weights, trainings, searches, networks and exports."""
