"""What a plan will do, before it is done: from the cards alone (`preview`), or with everything loaded (`overview`), and why
something is missing (`why`).
"""
