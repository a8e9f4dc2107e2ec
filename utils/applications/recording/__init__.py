"""Recording a corpus of digits that speakers read out: `sdr record`.

In: ten words and speakers. Out: a folder of clips with its metadata table.

session    who reads which digit next, and where each clip goes
server     the web server of the page on which speakers record themselves
page/      that page
terminal   the same in the terminal
"""
