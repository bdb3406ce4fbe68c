"""The decision engine: turns a policy and evidence into a verdict, without I/O, clock, Airflow or numpy.

Beyond the standard library it imports pydantic for policies, and croniter for cron expressions: Airflow reads
``schedule=`` with it, and an expression must not mean two things. Both load only when they are used.
"""
