using Gongzhi.Core.Catalog;
using Gongzhi.Core.Records;

namespace Gongzhi.Core.Intake;

/// <summary>
/// The corrections within one contribution: which record each row supersedes. One that cannot be made refuses the whole contribution, also in
/// partial mode: a half-corrected file is worse than none.
/// </summary>
internal sealed class Corrections(Contribution contribution, RecordStore store, RecordVersions versions)
{
    private readonly List<Supersession> _all = [];
    private readonly HashSet<Guid> _named = [];
    private Guid? _twice;

    public IReadOnlyList<Supersession> All => _all;

    /// <summary>Takes a run of rows whose ordinals are given.</summary>
    public void Add(RowColumns rows)
    {
        if (rows.Supersedes is null)
            return;
        for (var r = 0; r < rows.Rows; r++)
        {
            if (rows.Supersedes[r] is not { } record)
                continue;
            if (!_named.Add(record))
                _twice ??= record;
            _all.Add(new(record, RecordId.Of(rows.BatchOf(r), rows.OrdinalOf(r))));
        }
    }

    /// <summary>What stands in the way, or null. Whether a record is current is decided again in the transaction.</summary>
    public Problem? Check()
    {
        if (_all.Count == 0)
            return null;
        if (_twice is { } twice)
            return Problem.Conflict("record.namedTwice", $"Two rows of the contribution supersede the same record, {twice}.") with { Extensions = Named(twice) };
        foreach (var group in _all.GroupBy(s => RecordId.TrySplit(s.Record, out var batch, out _) ? batch : Guid.Empty))
        {
            if (store.FindBatch(group.Key) is not { } batch || batch.Dataset != contribution.Dataset.Id)
                return Unknown(group.First().Record);
            foreach (var one in group)
            {
                if (!RecordId.TrySplit(one.Record, out _, out var ordinal) || ordinal >= batch.Rows)
                    return Unknown(one.Record);
            }
            if (contribution.MaySupersede is null)
                return Problem.Denied("policy.refused", "Records cannot be superseded this way.");
            if (contribution.MaySupersede(batch) is { } refusal)
                return refusal;
        }
        // A single correction gets its answer before anything is written; many find out in the transaction.
        return _all.Count == 1 && versions.Find(contribution.Dataset.Id, _all[0].Record) is { State: not RecordState.Current } old
            ? NotCurrent(contribution.Dataset, old.Record, versions)
            : null;
    }

    /// <summary>Why a record cannot be superseded (any more), with the one that is current.</summary>
    public static Problem NotCurrent(Dataset dataset, Guid record, RecordVersions versions)
    {
        var history = versions.History(dataset.Id, record);
        if (history.FirstOrDefault(v => v.Record == record) is { State: RecordState.Erased })
            return new Problem("record.erased", 410, "The record was erased.") with { Extensions = Named(record) };
        var extensions = Named(record);
        if (history is [.., { State: RecordState.Current } last])
            extensions["current"] = last.Record.ToString();
        return Problem.Conflict("record.superseded", $"The record {record} was superseded before.") with { Extensions = extensions };
    }

    private static Problem Unknown(Guid record) =>
        Problem.Invalid("record.unknownSuperseded", $"The dataset has no record {record} that could be superseded.") with { Extensions = Named(record) };

    private static Dictionary<string, object?> Named(Guid record) => new() { ["record"] = record.ToString() };
}
