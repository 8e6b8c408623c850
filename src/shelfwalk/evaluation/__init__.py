"""What the rankings are worth: measures, significance, results files and a report.

Rankings, judgements and plain arrays come in; figures with intervals, comparisons, tables, JSON lines, TREC runs and
one self-contained HTML report go out. The room knows nothing of how a shelf makes its rankings.
"""
