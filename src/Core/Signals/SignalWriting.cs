using System.Security.Cryptography;
using System.Text;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Signals;

/// <summary>Writes signals and their ends, each with its ledger entry, in the transaction of the step that noticed them. What is there already stays as it is.</summary>
internal static class SignalWriting
{
    public static void Write(WriteScope scope, string analysis, string partition, SignalEvent one)
    {
        if (one.Kind is { } kind)
            Raise(scope, new Signal(
                Signal.IdOf(analysis, partition, kind, one.Key, one.LastIndex, one.Moment), analysis, partition, kind, one.Severity, one.Dataset, one.Unit, one.Place, one.Key,
                one.FirstIndex, one.LastIndex, one.Moment, null, one.Figures!));
        else
            End(scope, analysis, partition, one);
    }

    private static void Raise(WriteScope scope, Signal signal)
    {
        var (content, salt) = (signal.Content(), RandomNumberGenerator.GetBytes(16));
        using var insert = scope.Command("""
            INSERT INTO signal(id, analysis, part, same, kind, severity, dataset, unit, place, first_index, last_index, raised, content, salt)
            VALUES (@id, @analysis, @part, @same, @kind, @severity, @dataset, @unit, @place, @first, @last, @raised, @content, @salt) ON CONFLICT DO NOTHING
            """);
        insert.Set("@id", RecordId.Bytes(signal.Id)).Set("@analysis", signal.Analysis).Set("@part", signal.Partition).Set("@same", signal.Key).Set("@kind", signal.Kind)
            .Set("@severity", (int)signal.Severity).Set("@dataset", signal.Dataset).Set("@unit", signal.Unit).Set("@place", signal.Place).Set("@first", signal.FirstIndex)
            .Set("@last", signal.LastIndex).Set("@raised", Microseconds.From(signal.Raised)).Set("@content", content).Set("@salt", salt);
        // A replay comes upon what was raised before.
        if (insert.ExecuteNonQuery() == 1)
            PendingEntries.Add(scope, signal.Id, "signal", EntryBytes.Commit(Encoding.UTF8.GetBytes(content), salt));
    }

    private static void End(WriteScope scope, string analysis, string partition, SignalEvent one)
    {
        var open = new List<Guid>();
        // A replay must not end what was raised after the moment it has come to.
        using (var find = scope.Command("SELECT id FROM signal WHERE analysis = @analysis AND part = @part AND same = @same AND ended IS NULL AND last_index <= @index AND raised <= @ended"))
        {
            find.Set("@analysis", analysis).Set("@part", partition).Set("@same", one.Key).Set("@index", one.LastIndex).Set("@ended", Microseconds.From(one.Moment));
            using var reader = find.ExecuteReader();
            while (reader.Read())
                open.Add(RecordId.FromBytes((byte[])reader[0]));
        }
        foreach (var signal in open)
        {
            var (content, salt) = (Signal.EndContent(signal, one.Moment, one.LastIndex), RandomNumberGenerator.GetBytes(16));
            var entry = Signal.IdOf(analysis, partition, "end", signal.ToString(), one.LastIndex, one.Moment);
            using var update = scope.Command("UPDATE signal SET ended = @ended, end_entry = @entry, end_content = @content, end_salt = @salt WHERE id = @id AND ended IS NULL");
            update.Set("@ended", Microseconds.From(one.Moment)).Set("@entry", RecordId.Bytes(entry)).Set("@content", content).Set("@salt", salt).Set("@id", RecordId.Bytes(signal));
            if (update.ExecuteNonQuery() == 1)
                PendingEntries.Add(scope, entry, "signal", EntryBytes.Commit(Encoding.UTF8.GetBytes(content), salt));
        }
    }
}
