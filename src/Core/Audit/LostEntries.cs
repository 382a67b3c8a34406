using System.Data.Common;
using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Audit;

/// <summary>Entries that came back into the log after a loss, without what they speak of: they bind the log and nobody can open them.</summary>
internal static class LostEntries
{
    /// <summary>For a WHERE over <c>ledger_pending p</c>: leaves them out. Empty where no entry was ever lost.</summary>
    public static string Without(DbConnection connection, DbTransaction? transaction) => !SqlStore.Of(connection).HasTable(connection, transaction, "ledger_event") ? "" : """
         AND NOT EXISTS (SELECT 1 FROM ledger_event v WHERE v.kind = 'recovery' AND p.log_index >= v.first_index AND p.log_index < v.past_index)
        """;
}
