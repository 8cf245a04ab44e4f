//! Files that grow, rotate, shrink and vanish, read line by line.
