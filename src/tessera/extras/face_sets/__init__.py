"""Face sets: the faces of consented subjects in general footage, aligned, sorted, masked and packed."""
