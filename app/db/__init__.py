"""PostgreSQL: engine, tables, migrations, the embedded server."""
