# SPDX-License-Identifier: Apache-2.0

"""View of the convergence traversal that deletes a resource.

An update or a rollback of a stack is one traversal. Heat first visits each
resource of the new template, and updates it in place or creates a replacement.
Then Heat deletes every row that does not belong to the new template. Nothing
orders the deletion of a resource that has left the template after the visits:
the deletion begins before it is known whether the resources that the deleted
one refers to are replaced.
"""

from heat.objects import resource as resource_objects
from heat.objects import stack as stack_objects


def must_drain(is_nested, sources_deleted, is_unfinished):
    """Return True if what a deleted guard guards is deleted after it.

    For the guards of a stack that stays itself. In doubt the answer is True: a
    drain for nothing takes a server out of service, while a server that is
    deleted without a drain cuts its sessions.

    :param is_nested: True if the stack belongs to a resource of another one.
    :param sources_deleted: for each resource that provides the ID of what is
        guarded, whether the traversal deletes it. Empty if the ID is a string
        or a parameter: it is then of another stack, which this traversal
        leaves alone; but the outer stack of a nested one may be replacing it.
    :param is_unfinished: True if the traversal has resources to visit.
    :returns: None while it is too early to know, or to be without a guard.
    """
    if any(sources_deleted) or (is_nested and not sources_deleted):
        return True
    return None if is_unfinished else False


class Traversal:
    """Show the traversal that a stack was loaded in."""

    def __init__(self, stack):
        self._context = stack.context
        self._stack_id = stack.id
        self._id = stack.current_traversal
        self._template_id = stack.t.id
        self._visited = {node.rsrc_id for node
                         in stack.convergence_dependencies if node.is_update}

    def is_over(self):
        """Return True if the traversal has failed or another has begun."""
        stack = stack_objects.Stack.get_by_id(
            self._context, self._stack_id, eager_load=False)
        return stack is None or (
            (stack.current_traversal, stack.status) !=
            (self._id, 'IN_PROGRESS'))

    def read(self):
        """Return {ID: row} of the resources of the stack, as they are now."""
        return resource_objects.Resource.get_all_active_by_stack(
            self._context, self._stack_id)

    def deletes(self, row, rows):
        """Return True if the traversal will delete a resource, or seems to."""
        if row.replaced_by in rows and self._belongs(rows[row.replaced_by]):
            return True
        return row.id not in self._visited and not self._belongs(row)

    def unfinished(self, rows):
        """Return the rows of resources that are still to be visited."""
        return [row for row in rows.values()
                # A replacement is visited in the place of what it replaces.
                if self._visited & {row.id, row.replaces} and
                not self.deletes(row, rows) and not self.is_done(row)]

    def is_done(self, row):
        """Return True if a resource has got what the new template says."""
        # A replacement has the new template before it is created.
        return self._belongs(row) and row.status == 'COMPLETE' and (
            row.action != 'INIT')

    def _belongs(self, row):
        return row.current_template_id == self._template_id
