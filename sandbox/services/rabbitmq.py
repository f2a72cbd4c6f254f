# SPDX-License-Identifier: Apache-2.0

"""RabbitMQ: carries the messages of a Heat that is many processes."""

import pathlib
import shutil

from sandbox import cloud
from sandbox import ports
from sandbox.services import base

PORT = ports.RABBITMQ

# For tools that want to see into it; RabbitMQ cannot do without.
DISTRIBUTION_PORT = ports.RABBITMQ_DISTRIBUTION

USER = 'heat'

# Debian's command on the path gives itself to another user; this is what it
# calls, and other distributions have it on the path.
_DEBIAN = pathlib.Path('/usr/lib/rabbitmq/bin/rabbitmq-server')


def program():
    """Return the path of the command, None if it is not installed."""
    return str(_DEBIAN) if _DEBIAN.exists() else (
        shutil.which('rabbitmq-server'))


def transport_url(local_cloud):
    """What oslo.messaging finds this one by."""
    return 'rabbit://%s:%s@%s:%d/' % (
        USER, local_cloud.secret('rabbitmq'), local_cloud.address, PORT)


class Service(base.Service):

    name = 'rabbitmq'
    title = 'RabbitMQ'
    scheme = 'amqp'
    ports = {'rabbitmq': PORT, 'rabbitmq-distribution': DISTRIBUTION_PORT}
    has_user = False

    def is_available(self):
        # It is for nothing else.
        return self.cloud.heat_engines > 0

    def refuse(self):
        if program() is None:
            raise cloud.SandboxError(
                'RabbitMQ is not installed, which %d engines of Heat talk '
                'over: "sudo ./run packages" installs it on Debian, and '
                '"up --heat-engines 0" does without.'
                % self.cloud.heat_engines)

    def files(self):
        return {
            'rabbitmq.conf': '\n'.join([
                'listeners.tcp.1 = %s:%d' % (self.cloud.address, PORT),
                'default_user = ' + USER,
                'default_pass = ' + self.cloud.secret(self.name),
                'log.file = false',
                'log.console = true',
                'log.console.level = warning',
                '']),
            # Instead of those below /etc.
            'environment': '',
            'plugins': '[].\n',
        }

    def command(self):
        return [program()]

    def environment(self):
        folder = self.cloud.etc / self.name
        data = self.cloud.data(self.name)
        node = 'sandbox@%s' % self.cloud.address
        return {
            # Where the cookie is, which is made at the first start.
            'HOME': str(data),
            'RABBITMQ_NODENAME': node,
            'RABBITMQ_USE_LONGNAME': 'true',
            'RABBITMQ_CONFIG_FILE': str(folder / 'rabbitmq.conf'),
            'RABBITMQ_CONF_ENV_FILE': str(folder / 'environment'),
            'RABBITMQ_ENABLED_PLUGINS_FILE': str(folder / 'plugins'),
            'RABBITMQ_MNESIA_BASE': str(data / 'mnesia'),
            'RABBITMQ_LOG_BASE': str(data / 'log'),
            'RABBITMQ_PID_FILE': str(data / 'pid'),
            # Named by us, Erlang needs no port mapper, a daemon that listens
            # on 127.0.0.1 and outlives whoever started it. And one scheduler
            # that sleeps when there is nothing to do is enough.
            'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS':
                '-name %s -start_epmd false -erl_epmd_port %d '
                '-kernel inet_dist_use_interface {%s} +S 1:1 +sbwt none'
                % (node, DISTRIBUTION_PORT,
                   self.cloud.address.replace('.', ',')),
        }

    def check(self):
        try:
            with connect(self.cloud):
                return True
        except OSError:
            return False


def connect(local_cloud):
    """Return a connection to it, for use in a "with".

    :raises OSError: when it does not answer.
    """
    import amqp

    connection = amqp.Connection(
        '%s:%d' % (local_cloud.address, PORT), userid=USER,
        password=local_cloud.secret('rabbitmq'), connect_timeout=5,
        read_timeout=5)
    connection.connect()
    return connection


def consumers(local_cloud, queue):
    """Return how many listen to a queue, 0 if there is none.

    :raises OSError: when RabbitMQ does not answer.
    """
    import amqp

    with connect(local_cloud) as connection:
        try:
            return connection.channel().queue_declare(
                queue, passive=True).consumer_count
        except amqp.NotFound:
            return 0
