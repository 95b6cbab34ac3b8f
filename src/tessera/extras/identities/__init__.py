"""Who or what the crops show: by reference pictures, by clusters of vectors, and by the decisions of people."""
