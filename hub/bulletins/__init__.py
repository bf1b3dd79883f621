"""Bulletins that the hub itself has a word in: it computes two from its log, and checks the counts of the third."""

PROGRESS, ASSESSMENT, INFORMATION = "progress-bulletin", "mutual-assessment", "information-bulletin"
