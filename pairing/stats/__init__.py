"""The numbers of rollouts and of the pairs they give (`pairmill stats`): one pass over the groups, memory that does not
grow with them. docs/stats.md says what each number is. `gather.gather` is the way in from Python; nothing is imported
here, as the command line's flags (`options`) live in this room too.
"""
