"""The figures of a report, each a function from tables to inline SVG; "" where there is nothing to draw."""
