"""PostgreSQL: the truth. SQLAlchemy Core owns tables, migrations and reading; asyncpg carries the hot writes."""
