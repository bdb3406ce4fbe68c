"""Leaks what its run is given, so that a hunt for it must find it: in the log, the XCom and the rendered field."""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG


def leak(planted: dict[str, str]) -> dict[str, Any]:
    for form, text in planted.items():
        print(f"{form} form: {text}")
    return planted


with DAG("planted", schedule=None, render_template_as_native_obj=True):
    PythonOperator(task_id="leak", python_callable=leak, op_kwargs={"planted": "{{ dag_run.conf['planted'] }}"})
