# SPDX-License-Identifier: Apache-2.0

"""Parameters that no stack of the library is made with, and what is said.

Each row is refused before anything is made. The same table is held against
Heat's engine without services (tests/templates) and against the local cloud
(tests/functional): what only a service can know, such as whether there is an
image of some name, is ``live``. Both front doors take the same parameters.
"""

import typing

from sandbox import cloud

CLUSTER = cloud.REPO / 'templates' / 'lifecycle_cluster.yaml'
GROUP = cloud.REPO / 'templates' / 'lifecycle_group.yaml'
COMPONENTS = cloud.REPO / 'templates' / 'components'
GNOCCHI = COMPONENTS / 'gnocchi_alarms.yaml'
POLICIES = COMPONENTS / 'scaling_policies.yaml'
USER_DATA = COMPONENTS / 'server_user_data.yaml'
REQUIREMENT = COMPONENTS / 'requirement.yaml'
PROMETHEUS = COMPONENTS / 'prometheus_alarms.yaml'
POOL = COMPONENTS / 'load_balanced_pool.yaml'
WEBHOOKS = COMPONENTS / 'webhooks.yaml'

# A tab and a line break are taken for a name by no service, and an escape
# sequence would reach the terminal of whoever lists the stacks.
CONTROL = 'a\tb\x1b[31m'
LINES = 'first\nsecond'
LONG = 'x' * 300
UNICODE = 'caf\u00e9-\u732b-\U0001f98a'

NOT_A_NUMBER = "could not convert string to float"
BAD_THRESHOLDS = 'scale_in_threshold_is_below_scale_out_threshold'


class Bad(typing.NamedTuple):
    """One set of parameters, beside good ones."""

    parameters: dict
    # What the message names beside the parameter: a requirement, an option.
    says: str
    live: bool = False
    template: object = CLUSTER
    # The parameter that the message names, if it is no requirement's.
    named: bool = True

    def fits(self, said):
        """Return True if a message names the parameter and what is right."""
        # What is right may have the name in it.
        rest = said if len(self.parameters) > 1 else said.replace(
            self.says, '')
        return self.says in said and (not self.named or all(
            name in rest for name in self.parameters))

    @property
    def id(self):
        """Short, and the same in both runs."""
        values = ','.join(
            '%s=%.20s' % (name, ascii(value).strip("'"))
            # Two long ones may begin alike.
            + ('(%d)' % len(str(value)) if len(str(value)) > 20 else '')
            for name, value in self.parameters.items())
        return '%s:%s' % (self.template.stem, values)


def _each(parameter, values, says, **options):
    return [Bad({parameter: value}, says, **options) for value in values]


def _whole_number(parameter, least, most, described, template=CLUSTER):
    """What no count and no duration is."""
    if template != CLUSTER:
        # The front door names the parameter, see components/scaling_policies.
        return _each(parameter, [least - 1, most + 1, '1.5'],
                     'Must be', template=template)
    return [
        *_each(parameter, [least - 1, most + 1, -7, 10**30, 'inf', '-inf'],
               described, template=template),
        *_each(parameter, ['1.5', 'nan', 2.000001], 'whole number',
               template=template),
        *_each(parameter, ['', 'five', '5m', '1,000', '0x10', '1 2', UNICODE,
                           LINES],
               NOT_A_NUMBER, template=template),
    ]


def _name(parameter, described):
    """What no service knows by name."""
    return _each(parameter, ['no-such-thing', LONG, UNICODE, CONTROL, LINES,
                             ' ', '7e3f' * 8, 'a"b\'c<d>&'],
                 described, live=True)


_ROWS = [
    # Names that only a service knows.
    *_name('image', 'Must be an image known to Glance.'),
    *_name('flavor', 'Must be a flavor known to Nova.'),
    *_name('network', 'Must be a network known to Neutron.'),
    *_name('key_name', 'Must be empty or a key pair known to Nova.'),
    *_name('security_groups', 'Must be security groups known to Neutron.'),
    *_each('security_groups', ['default,no-such-group', 'default,,default'],
           'Must be security groups known to Neutron.', live=True),
    *_name('policies', 'Must be policies known to Senlin.'),
    *_each('policies', ['../../v2'], 'Must be policies known to Senlin.',
           live=True),
    *_each('image', [''], 'Must be an image known to Glance.', live=True),
    *_each('flavor', [''], 'Must be a flavor known to Nova.', live=True),
    *_each('network', [''], 'Must be a network known to Neutron.', live=True),

    # Sizes.
    *[Bad({'min_size': least, 'desired_capacity': first, 'max_size': most},
          'desired_capacity')
      for least, first, most in [(3, 3, 2), (1, 0, 3), (1, 4, 3), (4, 2, 3),
                                 (0, 1000, 999), (1000, 1000, 1)]],
    *_whole_number('max_size', 1, 1000, 'Must be between 1 and 1000.'),
    *_whole_number('min_size', 0, 1000, 'Must be between 0 and 1000.'),
    *_whole_number('desired_capacity', 0, 1000,
                   'Must be between 0 and 1000.'),
    # Draining.
    *_whole_number('drain_timeout', 1, 86400,
                   'Must be between one second and one day.'),
    # The stacks of both runs have ten minutes.
    *_each('drain_timeout', [600, 601, 86400],
           'the timeout of the stack', named=False),
    *_each('criteria', ['', 'NEWEST', 'random', 'OLDEST_FIRST ',
                        'OLDEST_FIRST,RANDOM', LONG, UNICODE, LINES, '0'],
           'Must be OLDEST_FIRST, OLDEST_PROFILE_FIRST, YOUNGEST_FIRST or '
           'RANDOM.'),

    # Scaling.
    *_each('scale_out_threshold', [-1, -0.001, '-inf', 'inf', 10**30],
           'Must be between 0 and 1000000000000000.'),
    *_each('scale_in_threshold', [-1, -0.001, '-inf', 'inf', 10**30],
           'Must be between 0 and 1000000000000000.'),
    *_each('scale_out_threshold', ['', 'high', '80%', '1,5', UNICODE],
           NOT_A_NUMBER),
    *_each('scale_in_threshold', ['', 'low', '20%', '1,5', LINES],
           NOT_A_NUMBER),
    *[Bad({'scale_in_threshold': low, 'scale_out_threshold': high},
          BAD_THRESHOLDS, named=False)
      for low, high in [(10, 10), (40, 10), (0, 0), (0.3, 0.3),
                        ('nan', 10), (10, 'nan'), ('nan', 'nan'),
                        (1, 0.999999), ('1e3', 100)]],
    *_whole_number('scale_out_step', 1, 100, 'Must be between 1 and 100.'),
    *_whole_number('scale_in_step', 1, 100, 'Must be between 1 and 100.'),
    *_whole_number('scale_out_cooldown', 0, 86400,
                   'Must be between zero and one day.'),
    *_whole_number('scale_in_cooldown', 0, 86400,
                   'Must be between zero and one day.'),
    *_each('repeat_actions', ['', 'maybe', 'tru', '2', 'None', LONG, UNICODE,
                              LINES],
           'Unrecognized value'),

    # Applications.
    *_each('user_data', ['echo hello', ' #!/bin/sh\n', '\n#cloud-config\n',
                         '\ufeff#!/bin/sh\n', '{"runcmd": []}',
                         'MIME-Version: 1.0\n\n',
                         'Content-Type: multipart/mixed; boundary="x"\n\n',
                         'From nobody\nContent-Type: multipart/mixed\n',
                         '<powershell>', UNICODE],
           'Must be empty or begin with "#"'),
    # Nova counts bytes: what is not ASCII takes up to six times as many.
    *_each('user_data', ['#!/bin/sh\n' + '#' * 65536,
                         '#' + 23999 * '\u00e9', '#\u00e9' + 15999 * '#',
                         '#' + 501 * '\u00e9' + 10999 * '#',
                         '#' + 2001 * '\u00e9' + 1999 * '#'],
           'Must have at most 24000 characters'),

    # Endpoints. What is wrong with which of them is told in the reference:
    # the list is hidden, and Heat does not repeat it.
    *_each('webhooks', [',', 'http://a.example/,', ' ', 'a.example',
                        'ftp://a.example/', 'file:///etc/passwd', 'http://',
                        'https:///path', 'http://a.example/ b',
                        'http://a.example/\tb', 'javascript:alert(1)',
                        'http://a.example/,http://a.example/',
                        'trust+http://a.example/', 'mailto:a@a.example',
                        'http://a.example:port/', LINES, UNICODE],
           'Must be http:// or https:// URLs'),

    # Components by themselves.
    *_each('user_data', ['echo hello', 'MIME-Version: 1.0\n\n'],
           'Must be empty or begin with "#"', template=USER_DATA),
    *_each('holds', ['false', 'no', 0], 'This requirement does not hold',
           template=REQUIREMENT),
    *_each('holds', ['', 'maybe', 2], 'Unrecognized value',
           template=REQUIREMENT),
    *_whole_number('scale_out_step', 1, 100, 'Must be between 1 and 100.',
                   template=POLICIES),
    *_whole_number('scale_in_cooldown', 0, 86400,
                   'Must be between zero and one day.', template=POLICIES),
    *_each('metric', ['', LONG], 'Must have 1 to 255 characters.',
           template=GNOCCHI),
    *_each('server_group', ['', LONG], 'Must have 1 to 255 characters.',
           template=GNOCCHI),
    *_each('metric_aggregation', ['', 'rate of mean', 'MEAN', UNICODE, LINES],
           'Must be an aggregation method of Gnocchi', template=GNOCCHI),
    *_whole_number('granularity', 1, 86400, '', template=GNOCCHI),
    *_whole_number('evaluation_periods', 1, 100, '', template=GNOCCHI),
    *_each('scale_in_threshold', [-1, 'inf'],
           'Must be between 0 and 1000000000000000.', template=PROMETHEUS),
    *_each('query', ['', 'x' * 4097], 'Must have 1 to 4096 characters.',
           template=PROMETHEUS),
    *_each('webhooks', ['', 'a.example', 'http://a.example/,'],
           'Must', template=WEBHOOKS),
    *_whole_number('port', 1, 65535, '', template=POOL),
    *_whole_number('member_port', 1, 65535, '', template=POOL),
    *_each('protocol', ['', 'http', 'UDP', UNICODE],
           'Must be HTTP, HTTPS or TCP.', template=POOL),
    *_each('health_check_path', ['health', 'http://a.example/', '/a b', LINES],
           'Must be empty or a path that begins with "/".', template=POOL),
    *_each('health_check_codes', ['', 'OK', '20', '200-', '200;204'],
           'Must be like 200, "200,204" or 200-299.', template=POOL),
]


def rows(front_door):
    """Return the rows for one of the two front doors, and the components."""
    # A group has no policies of Senlin, and looks at none.
    return [
        row._replace(template=front_door) if row.template == CLUSTER else row
        for row in _ROWS
        if front_door == CLUSTER or 'policies' not in row.parameters]
