# Every target is a script: what happens, and its options, is in deployment/backend/manage/README.md.
# ARGS are handed to the script: make test ARGS="-k worker -x"

MANAGE := deployment/backend/manage
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup up down restart remove logs demo pgadmin test check bench bench-million faults lock docs

help: ## this list
	@sed -n 's/^\([a-z-]*\): ## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

up: ## start everything and wait until it is healthy
	@bash $(MANAGE)/start.sh --dev $(ARGS)

demo: ## start everything and walk four tasks and a notification through it
	@bash $(MANAGE)/demo.sh $(ARGS)

down: ## stop everything; the data stays
	@bash $(MANAGE)/stop.sh $(ARGS)

restart: ## stop, then start
	@bash $(MANAGE)/restart.sh $(ARGS)

remove: ## stop everything and delete its data (asks first)
	@bash $(MANAGE)/remove.sh $(ARGS)

logs: ## follow the logs of everything
	@bash $(MANAGE)/logs.sh $(ARGS)

pgadmin: ## pgAdmin in the browser, the database registered
	@bash $(MANAGE)/pgadmin.sh $(ARGS)

test: ## every test, on private servers of its own
	@bash $(MANAGE)/test.sh $(ARGS)

check: ## lint, types, architecture, Dockerfile, scripts
	@bash $(MANAGE)/check.sh $(ARGS)

bench: ## the performance table
	@bash $(MANAGE)/bench.sh $(ARGS)

bench-million: ## a million messages, the whole way
	@bash $(MANAGE)/bench.sh million $(ARGS)

faults: ## break everything, and count what is lost or paid twice
	@bash $(MANAGE)/faults.sh $(ARGS)

docs: ## generate the reference documents and diagrams
	@bash $(MANAGE)/docs.sh $(ARGS)

setup: ## only the virtual environment
	@bash $(MANAGE)/setup.sh

lock: ## pin the packages anew (ARGS=--upgrade for newer ones)
	@bash $(MANAGE)/lock.sh $(ARGS)
