"""From rollouts files to groups of one prompt: files, lines, rows, identity, order."""
