"""What to buy for a budget: measured cells and prices of labels -> sizes, how sure they are, what would change them.

measured.py reads the cells, costs.py prices them, designs.py and catalogue.py list what could be bought, decide.py
picks, say.py puts it into sentences. The statistics are those of analysis/error_model.py.
"""
