# SPDX-License-Identifier: Apache-2.0

"""Heat: API, CFN API and engine in one process, with our plugin folder."""

from sandbox import cloud
from sandbox.services import base

PORT = 8004
CFN_PORT = 8000


class Service(base.Service):

    name = 'heat'
    title = 'Heat (API, CFN API, engine)'
    ports = {'heat': PORT, 'heat-cfn': CFN_PORT}
    databases = ('heat',)
    # The engine ends at once; the APIs in its process do not hear of it.
    stop_timeout = 3
    endpoints = (
        base.Endpoint('orchestration', 'heat', PORT, '/v1/%(tenant_id)s'),
        base.Endpoint('cloudformation', 'heat-cfn', CFN_PORT, '/v1'),
    )

    def files(self):
        return {'heat.conf': cloud.ini({
            'DEFAULT': {
                'transport_url': 'fake://',
                # One is the number that forks nothing, here and below.
                'num_engine_workers': 1,
                'plugin_dirs': self.cloud.plugin_dir,
                'environment_dir': cloud.packaged('heat', 'environment.d'),
                'template_dir': cloud.packaged('heat', 'templates'),
                'heat_metadata_server_url': self.cloud.url(CFN_PORT),
                'heat_waitcondition_server_url': self.cloud.url(
                    CFN_PORT, '/v1/waitcondition'),
                # The users behind pre-signed URLs live in a domain of their
                # own, as in production.
                'stack_user_domain_name': 'heat',
                'stack_domain_admin': 'heat_domain_admin',
                'stack_domain_admin_password': self.cloud.secret(
                    'heat_domain_admin'),
                'auth_encryption_key': self.cloud.secret('heat-encryption'),
                'region_name_for_services': cloud.REGION,
                # Off by default, and operators do switch them on.
                'enable_stack_abandon': True,
                'enable_stack_adopt': True,
            },
            'heat_api': {'bind_host': self.cloud.address, 'bind_port': PORT,
                         'workers': 1},
            'heat_api_cfn': {'bind_host': self.cloud.address,
                             'bind_port': CFN_PORT, 'workers': 1},
            'paste_deploy': {'api_paste_config': cloud.packaged(
                'heat', 'api-paste.ini')},
            # What names stand for is asked of each service once a minute, and
            # not for each template in which an image or a network is named.
            'cache': {'enabled': True, 'expiration_time': 60,
                      'backend': 'dogpile.cache.memory_pickle'},
            'database': base.database_options(self.cloud, 'heat'),
            'keystone_authtoken': self.cloud.authtoken(self.name),
            'trustee': self.cloud.trustee(self.name),
            'ec2authtoken': {'auth_uri': self.cloud.url(5000, '/v3')},
            'clients_keystone': {'auth_uri': self.cloud.url(5000)},
            'clients': {'endpoint_type': 'publicURL'},
            'oslo_concurrency': {
                'lock_path': self.cloud.data(self.name) / 'locks'},
        })}

    def migrations(self):
        return [[cloud.script('heat-manage'), '--config-file', self.conf(),
                 'db_sync']]

    def command(self):
        return [*super().command(), '--config-file', self.conf()]


def main():
    # Patches the standard library, so it comes before anything else.
    from heat.cmd import all as heat_all

    # Loaded by the first RPC server, and by the second one in the middle of
    # that: "partially initialized module 'futurist'".
    import futurist  # noqa: F401

    heat_all.main()


if __name__ == '__main__':
    main()
