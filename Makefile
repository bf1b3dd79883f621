# The commands of the project; `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo test bench fuzz faults failover check docs guides pictures documents format lock lock-check audit sbom wheel wheel-check node java browser bus access-point promtool installers databases

PYTHON ?= python3
UV ?= uv
ARGS ?=
SITE ?= site
NODE_FOLDERS := tests/acceptance/node docs/examples/javascript
AS4_TESTS := tests/acceptance/as4
GSON := /usr/share/java/gson.jar
AS_DEBIAN_ROOT := [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null
APT_INSTALL := apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends

help: ## 列出可用命令 · list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/installed ## 建立 .venv 并安装锁定的依赖 · create .venv with the locked dependencies

demo: setup ## 在内置数据库上演示主要功能 (ARGS="--exit") · show the main job on the embedded database
	@.venv/bin/xieban demo $(ARGS)

# Tests wait more than they work: two processes more than there are cores. A file, which shares a hub of its own, stays together.
# Hundreds of short processes are started: they load bytecode that one of them kept, whatever this shell says, as they do where it is installed.
test: setup node java browser bus access-point promtool installers ## 运行全部测试 (ARGS="-k …") · run all tests
	@PYTHONDONTWRITEBYTECODE= .venv/bin/python -m pytest -n $$(( $$(nproc) + 2 )) --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

bench: setup ## 测量受理、投递与督导台的速度 (ARGS="--scale 0.1") · measure intake, delivery and the console
	@.venv/bin/python -m benchmarks $(ARGS)

fuzz: setup ## 模糊测试所有解码器 (ARGS="--seconds 600 --target jwe") · fuzz every reader of bytes from outside
	@.venv/bin/python -m tests.fuzzing $(ARGS)

faults: setup ## 长时间故障演练 (ARGS="--fault-rounds 10 --fault-seed 1") · the long campaign of faults
	@.venv/bin/python -m pytest tests/faults -s --timeout 0 --fault-rounds 3 --fault-report faults.json $(ARGS)

failover: setup installers databases ## 数据库与节点的接管, 含 Patroni (长, 需 root) · databases and nodes fail under load (long; root)
	@.venv/bin/python -m pytest tests/cluster -s --cluster --timeout 900 $(ARGS)

check: setup lock-check ## 检查风格、类型与模块边界 · check style, types and import contracts
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

docs: setup ## 建文档网站 site/, 从磁盘打开即可 · build the documentation site, to be read from the disk
	@NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs build --strict --quiet --site-dir $(SITE)
	@.venv/bin/python .ci/site_check.py $(SITE)

guides: setup browser ## 照做每篇指南 · go through every guide, command for command
	@.venv/bin/python -m pytest tests/acceptance/test_guides.py tests/acceptance/test_supervisors_week.py --guides-long $(ARGS)

PICTURED := tests/acceptance/test_desk.py tests/acceptance/test_supervisors_week.py tests/acceptance/test_demo.py
pictures: setup browser ## 由浏览器测试重拍 docs/ 的截图 · take the pictures in docs/ again, by the tests in a browser
	@XIEBAN_SCREENSHOTS=build/pictures .venv/bin/python -m pytest $(PICTURED) -k "desk_to_desk or week or demo_offers" --guides-long $(ARGS)
	@for picture in docs/*.png; do cp build/pictures/$$(basename $$picture) $$picture; done

documents: setup ## 由协议目录生成说明 · write docs/protocols from the catalogue
	@.venv/bin/xieban protocols document --to docs/protocols

format: setup ## 整理代码格式 · format the code
	@.venv/bin/ruff check --fix-only --quiet .
	@.venv/bin/ruff format .

lock: ## 重新锁定依赖 (需要 uv) · lock the dependencies again (needs uv)
	@command -v $(UV) >/dev/null || { echo "请先安装 uv · install uv first (pip install uv)"; exit 1; }
	@$(UV) pip compile --quiet --universal --generate-hashes --extra dev --no-header pyproject.toml -o requirements.lock

lock-check: setup ## 核对锁文件与 pyproject.toml (离线) · hold the lock against pyproject.toml (offline)
	@.venv/bin/python .ci/lock_check.py

audit: setup ## 查询依赖的已知漏洞 (联网) · ask for known vulnerabilities of what is locked (needs a network)
	@.venv/bin/python .ci/audit.py $(ARGS)

sbom: setup ## 写出软件物料清单 dist/xieban.cdx.json · write the software bill of materials
	@.venv/bin/python .ci/sbom.py $(ARGS)

wheel: setup ## 由最后一次提交可复现地构建 wheel 到 dist/ · build the last commit's wheel, the same bytes everywhere
	@.venv/bin/python .ci/build_wheel.py $(ARGS)

wheel-check: setup ## 把 wheel 装入空环境并运行演示 (联网) · install the wheel elsewhere and play the demo (needs a network)
	@.venv/bin/python -m pytest tests/acceptance/test_supply_chain.py -k "empty_environment or pipx" --wheel-installed --timeout 900

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "需要 Python 3.11 或更新版本 · Python 3.11 or newer is needed (make PYTHON=/path/to/python3)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { $(AS_DEBIAN_ROOT) && $(APT_INSTALL) python3-venv; } \
	  || { echo "请先安装 python3-venv · install python3-venv first (Debian: apt install python3-venv)"; exit 1; }
	@.venv/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@echo "安装依赖 · installing the locked dependencies"
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --require-hashes -r requirements.lock
	@PYTHONWARNINGS=ignore .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps --no-build-isolation \
	  --config-settings editable_mode=compat --editable .
	@touch $@

# The interoperability tests, and the example in JavaScript, sign and verify with another JOSE library, npm's `jose`.
node:
	@{ command -v node && command -v npm; } >/dev/null || { $(AS_DEBIAN_ROOT) && $(APT_INSTALL) nodejs npm; } \
	  || echo "未找到 node 与 npm, 跳过与 npm jose 的互通测试 · no node and npm: the tests with npm jose are skipped"
	@command -v npm >/dev/null || exit 0; for folder in $(NODE_FOLDERS); do \
	  if [ ! $$folder/node_modules/.package-lock.json -nt $$folder/package-lock.json ]; then \
	    npm ci --prefix $$folder --no-audit --no-fund --silent || exit 1; touch $$folder/node_modules/.package-lock.json; fi; done

# The example in Java needs a JDK, and Gson from Debian.
java:
	@command -v javac >/dev/null || { $(AS_DEBIAN_ROOT) && $(APT_INSTALL) default-jdk-headless; } \
	  || echo "未找到 JDK, 跳过 Java 示例的测试 · no JDK: the tests of the Java example are skipped"
	@[ -e $(GSON) ] || { $(AS_DEBIAN_ROOT) && $(APT_INSTALL) libgoogle-gson-java; } \
	  || echo "未找到 Gson, 跳过 Java 示例的测试 · no Gson: the tests of the Java example are skipped"

# The console is tested in a real browser, with letters for Chinese.
browser:
	@command -v chromium >/dev/null || { $(AS_DEBIAN_ROOT) && $(APT_INSTALL) chromium fonts-wqy-microhei; } \
	  || echo "未找到 chromium, 跳过浏览器测试 · no chromium: the tests in a browser are skipped"

# The bus adapter is tested with real servers; they are started by the tests, on ports of their own.
bus:
	@for server in nats-server rabbitmq-server; do \
	  PATH="$$PATH:/usr/sbin" command -v $$server >/dev/null || { $(AS_DEBIAN_ROOT) && { $(APT_INSTALL) $$server; }; } \
	  || echo "未找到 $$server, 跳过其总线测试 · no $$server: its tests of the bus are skipped"; done

# Alert rules are checked and evaluated by Prometheus's own promtool.
promtool:
	@command -v promtool >/dev/null || { $(AS_DEBIAN_ROOT) && $(APT_INSTALL) prometheus; } \
	  || echo "未找到 promtool, 跳过告警规则的测试 · no promtool: the tests of the alert rules are skipped"

# The database's servers, of the long tests of a takeover.
databases:
	@for package in patroni:patroni etcd:etcd-server /usr/lib/postgresql/15/bin/postgres:postgresql-15; do \
	  PATH="$$PATH:/usr/sbin" command -v $${package%:*} >/dev/null || { $(AS_DEBIAN_ROOT) && { $(APT_INSTALL) $${package#*:}; }; } \
	  || echo "未找到 $${package#*:}, 跳过其测试 · no $${package#*:}: its tests are skipped"; done

# What an operator installs in front of a hub and beside it is run by the tests, on ports of their own.
installers:
	@for program in nginx caddy logrotate haproxy; do \
	  PATH="$$PATH:/usr/sbin" command -v $$program >/dev/null || { $(AS_DEBIAN_ROOT) && { $(APT_INSTALL) $$program; }; } \
	  || echo "未找到 $$program, 跳过其配置的测试 · no $$program: the tests of its configuration are skipped"; done

# The AS4 adapter is tested against an access point that is not ours, PyPI's `as4`, in an environment of its own.
access-point: setup
	@[ $(AS4_TESTS)/.venv/installed -nt $(AS4_TESTS)/requirements.lock ] || { \
	  .venv/bin/python -m venv --clear $(AS4_TESTS)/.venv && $(AS4_TESTS)/.venv/bin/python -m pip install --quiet \
	  --disable-pip-version-check --no-input --require-hashes -r $(AS4_TESTS)/requirements.lock && \
	  touch $(AS4_TESTS)/.venv/installed; } \
	  || { rm -rf $(AS4_TESTS)/.venv; echo "装不上 PyPI as4, 跳过 AS4 互通测试 · no PyPI as4: the tests with it are skipped"; }
