"""Faults, deaths and accidents against the real stack: is every post published once, or held with the truth?"""
