# SPDX-License-Identifier: Apache-2.0

"""What Heat's users have today: a software deployment for DELETE."""

import pathlib
import subprocess
import sys
import time
import typing
import venv

import psutil

from bench import context as contexts
from bench import figures
from bench import logs
from sandbox import bootstrap
from sandbox import cloud
from sandbox.services import postgres
from tools import measure_agent

NAME = 'software_deployment'
TITLE = 'How does it compare with software deployments?'

TEMPLATES = pathlib.Path(__file__).with_name('templates') / 'collector'

# os-collect-config is no part of the local cloud, nor are its requirements.
ENVIRONMENT = cloud.REPO / 'build' / 'os-collect-config'
PROGRAMS = ('os-collect-config', 'os-refresh-config', 'os-apply-config')

# Seconds between two polls; None is its own default, which begins with one
# second and doubles until it is thirty.
INTERVALS = {'its default': None, '1 s': 1}

# Goals: so many times sooner told, with so much of the memory.
SOONER = 5
MEMORY = 0.5

# Guests at once, seconds until polls are as rare as they get, and seconds in
# which the guests' needs are measured.
SIZES = (10, 60, 60)
QUICK_SIZES = (2, 15, 20)

# Of the drains that ours is measured with.
OUR_SECONDS = 10


class Needs(typing.NamedTuple):
    """What one guest needs while nothing happens.

    :param pss: KiB of memory, shared pages counted in parts; `rss` in full.
    :param cpu: seconds of CPU an hour.
    :param requests: to the control plane, an hour.
    """

    pss: float
    rss: float
    cpu: float
    requests: float


def install():
    """Return the folder with the programs, installed there."""
    binaries = ENVIRONMENT / 'bin'
    if not all((binaries / name).exists() for name in PROGRAMS):
        venv.create(ENVIRONMENT, with_pip=True)
        subprocess.run([binaries / 'pip', 'install', '--quiet', *PROGRAMS],
                       check=True, stdout=sys.stderr)
    return binaries


def template(binaries, interval, size):
    """Return a template of so many servers, each with a deployment."""
    user_data = (TEMPLATES / 'user_data.sh').read_text()
    for name, text in (
            ('BIN', str(binaries)),
            ('INTERVAL', '' if interval is None else
             'polling_interval = %d' % interval),
            ('HOOK', (TEMPLATES / 'heat_config.py').read_text().rstrip())):
        user_data = user_data.replace('@%s@' % name, text)
    resources = {'config': {
        'type': 'OS::Heat::SoftwareConfig', 'properties': {
            'group': 'script',
            'config': (TEMPLATES / 'handler.sh').read_text()}}}
    for number in range(size):
        server = 'server_%d' % number
        resources[server] = {
            'type': 'OS::Nova::Server', 'properties': {
                'image': bootstrap.IMAGE, 'flavor': bootstrap.FLAVOR,
                'networks': [{'network': bootstrap.NETWORK}],
                'user_data_format': 'SOFTWARE_CONFIG',
                'software_config_transport': 'POLL_SERVER_CFN',
                'user_data': user_data}}
        resources['deployment_%d' % number] = {
            'type': 'OS::Heat::SoftwareDeployment', 'properties': {
                'actions': ['DELETE'], 'signal_transport': 'CFN_SIGNAL',
                'config': {'get_resource': 'config'},
                'server': {'get_resource': server}}}
    return {'heat_template_version': 'wallaby', 'resources': resources}


def _find(program, server):
    """The process of a guest that runs a program, or None."""
    for outer in psutil.process_iter(['cmdline']):
        if server in ' '.join(outer.info['cmdline'] or ()):
            for process in outer.children(recursive=True):
                # Not the shell that starts it again when it ends.
                if any(word.endswith('/' + program)
                       for word in process.cmdline()):
                    return process
    return None


def needs(context, program, servers, service, is_poll, seconds):
    """Measure what the guests need.

    :param service: whose log has the polls, those for which `is_poll` is
        true of the request.
    """
    processes = [context.wait('%s in %s' % (program, server),
                              lambda server=server: _find(program, server))
                 for server in servers]
    tail = context.tail(service)
    before = sum(measure_agent.cpu_seconds(p.pid) for p in processes)
    began = time.monotonic()
    time.sleep(seconds)
    took = (time.monotonic() - began) * len(processes) / 3600
    used = sum(measure_agent.cpu_seconds(p.pid)
               for p in processes) - before
    polls = sum(map(is_poll, logs.requests(tail.lines())))
    pss, rss = zip(*(measure_agent.memory(p.pid) for p in processes))
    return Needs(figures.median(pss), figures.median(rss), used / took,
                 polls / took)


def ours(context):
    """Return (seconds until told, until gone, Needs) of our agent."""
    size, _settle, seconds = context.pick(SIZES, QUICK_SIZES)
    rounds = context.rounds(contexts.HOOK, size, OUR_SECONDS)
    group = context.groups['hooked']
    context.say('  what %d agents need' % size)
    servers = context.grow(group, size)
    needed = needs(context, 'drain-agent', servers, 'zaqar', logs.is_poll,
                   seconds)
    context.empty(group)
    return (contexts.spans(rounds, 'waits', 'runs'),
            contexts.spans(rounds, 'ends', 'nova_asked'), needed)


def theirs(context, binaries, interval):
    """Return the same of os-collect-config and a deployment."""
    size, settle, seconds = context.pick(SIZES, QUICK_SIZES)
    context.say('  %d servers with a deployment, poll %s' % (
        size, interval or 'by default'))
    stack = context.project.create_stack(
        template(binaries, interval, size), timeout_mins=20)
    servers = [stack.resource('server_%d' % number).physical_resource_id
               for number in range(size)]
    begun = [context.project.guest(server) / 'var/log/bench.log'
             for server in servers]
    for path in begun:
        context.wait(str(path), path.exists)
    time.sleep(settle)
    needed = needs(context, 'os-collect-config', servers, _cfn_api(context),
                   lambda r: 'DescribeStackResource' in r.path, seconds)
    nova = context.tail('nova')
    streams = [path.open() for path in begun]
    context.say('  the stack is deleted')
    stack.start_delete()
    context.wait('the end of the stack', stack.is_gone)
    time.sleep(0.5)
    asked = logs.deletions(logs.requests(nova.lines()))
    starts = dict(postgres.query(
        context.local.cloud, 'heat', 'SELECT resource_name, extract(epoch '
        "FROM min(created_at) AT TIME ZONE 'UTC') FROM event "
        "WHERE stack_id = %s AND resource_action = 'DELETE' "
        "AND resource_status = 'IN_PROGRESS' GROUP BY resource_name",
        stack.id))
    told, gone = [], []
    for number, stream in enumerate(streams):
        with stream:
            events = dict(line.split() for line in stream)
        told.append(float(events['runs'])
                    - float(starts['deployment_%d' % number]))
        gone.append(asked[servers[number]] - float(events['ends']))
    return told, gone, needed


def _cfn_api(context):
    """The service whose log has the requests to Heat's CFN API."""
    return 'heat-api-cfn' if context.local.cloud.heat_engines else 'heat'


def run(context):
    """Return the result, see `bench.figures.result`."""
    binaries = install()
    found = {'drain agent, 1 s': ours(context)}
    for text, interval in INTERVALS.items():
        found['os-collect-config, %s' % text] = theirs(context, binaries,
                                                       interval)
    rows = [[name, len(told), figures.median(told), figures.p95(told),
             figures.median(gone), needed.pss / 1024, needed.rss / 1024,
             needed.cpu, round(needed.requests)]
            for name, (told, gone, needed) in found.items()]
    [(told, _gone, needed), *others] = found.values()
    goals = []
    for text, (their_told, _gone, their_needs) in zip(INTERVALS, others):
        goals += [
            figures.goal('told, our median against theirs, poll %s' % text,
                         figures.median(told) / figures.median(their_told),
                         1 / SOONER),
            figures.goal('memory (PSS) of ours against theirs, poll %s'
                         % text, needed.pss / their_needs.pss, MEMORY)]
    return figures.result(
        ['Who, poll', 'Drains', 'Told, s', '95 %', 'Gone, s', 'PSS, MiB',
         'RSS, MiB', 'CPU, s/h', 'Requests/h'], rows, goals,
        {'kind': 'steps', 'title': 'How soon a server is told',
         'series': {name: told for name, (told, *_rest) in found.items()},
         'x': 'Seconds until the handler runs'})
