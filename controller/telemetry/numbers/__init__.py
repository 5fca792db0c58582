"""What is counted, one module for each subject. Methods are named by what happened; plain values come in."""
