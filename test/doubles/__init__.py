"""Test doubles of the services that Muskrat speaks to: see README.md beside this file.

service.py      what they share: server, clock, journal, traps, command line
statsserver.py  a statistics server
salesforce.py   Salesforce's REST API; its tokens (salesforce_oauth.py), records (_org), queries (_source, _soql) and bulk jobs (_bulk)
marketo.py      Marketo's REST API; its records (marketo_store.py) and imports (marketo_bulk.py)
"""
