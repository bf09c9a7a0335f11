"""PostgreSQL: the truth. SQLAlchemy Core owns tables, migrations and the reading side; asyncpg carries the hot writes."""
