"""Makes a data set of a team's own log: who met which item when, and clicked or not.

Each row of a split is one event of the log, or an item that was not clicked at that moment, with the items that the
user had clicked at strictly earlier moments. The splits are stretches of time, or those that the log names. Users and
items get whole-number ids, and the files `user_ids` and `item_ids` keep which is which.
"""

from components.dataset.importers.log.convert import LogImport, import_log

__all__ = ["LogImport", "import_log"]
