"""Nonsense for everything that reads text of others: strategies, and what holds for whatever comes of it.

Each input is accepted or refused. What is refused says why in words that teach; what is accepted is what a reading
written for these tests alone makes of it. Everything else is a fault, told with the smallest input that shows it.
"""
