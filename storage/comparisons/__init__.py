"""Comparisons of methods: the plan, what each contender left, and the outcome.

A plan and a contender are named by their content. So a run after a kill finds what is finished, and two runs at once
write the same.
"""
