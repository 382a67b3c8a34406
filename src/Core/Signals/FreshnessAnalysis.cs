using Gongzhi.Analysis;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Signals;

/// <summary>A dataset that should have news and has none: by what its definition declares, else by its own rhythm. Over when news comes.</summary>
public sealed class FreshnessAnalysis : IAnalysis
{
    public const string Silent = "freshness.silent";

    /// <summary>News may be late by a tenth of the declared interval, and by the least: clocks and uploads are not exact.</summary>
    private const int LateShare = 10;

    private static readonly TimeSpan LateMin = TimeSpan.FromMinutes(1);

    public string Name => "freshness";
    public int Version => 1;

    public bool Watches(Dataset dataset) => true;

    public IEnumerable<string> Partitions(AnalysisBatch batch, RowColumns? rows) => [batch.Dataset.Id];

    public string? Standing(Dataset dataset) => dataset.ExpectedEvery is null ? null : dataset.Id;

    public IAnalysisState Open(string partition, byte[]? snapshot, IReadOnlyList<DatedDefinition> definitions) => new State(snapshot, definitions);

    private sealed class State : IAnalysisState
    {
        private const byte Form = 1;
        private readonly IReadOnlyList<DatedDefinition> _definitions;
        private readonly NewsRhythm _rhythm;
        private bool _open;
        private long _lastIndex;

        public State(byte[]? snapshot, IReadOnlyList<DatedDefinition> definitions)
        {
            _definitions = definitions;
            if (snapshot is null)
            {
                _rhythm = new NewsRhythm();
                return;
            }
            using var reader = new BinaryReader(new MemoryStream(snapshot));
            if (reader.ReadByte() != Form)
                throw new InvalidDataException("The state is of another form.");
            (_open, _lastIndex) = (reader.ReadBoolean(), reader.ReadInt64());
            _rhythm = NewsRhythm.Read(reader);
        }

        public DateTimeOffset? Due => _open ? null : NextDue()?.At;

        public void Process(AnalysisBatch batch, RowColumns? rows, SignalSink sink)
        {
            // What was due before this came was silent, whether or not anybody told the time then: a replay notices the same.
            Tick(batch.Received, sink);
            if (_open)
                sink.End("silence", batch.Index, batch.Received);
            (_open, _lastIndex) = (false, batch.Index);
            _rhythm.Add(Microseconds.From(batch.Received));
        }

        public void Tick(DateTimeOffset now, SignalSink sink)
        {
            if (_open || NextDue() is not { } due || due.At > now)
                return;
            var figures = new Dictionary<string, Figure>(StringComparer.Ordinal) { ["due"] = due.At };
            if (_rhythm.Last is { } last)
                figures["last"] = Microseconds.ToTime(last);
            if (due.Declared is { } declared)
                figures["expected-seconds"] = declared.TotalSeconds;
            else if (_rhythm.Usual is { } usual)
                figures["usual-seconds"] = Math.Round(usual.TotalSeconds);
            _open = true;
            sink.Raise(Silent, due.Declared is null ? SignalSeverity.Notice : SignalSeverity.Warning, due.Dataset, null, null, "silence", _lastIndex, _lastIndex, due.At, figures);
        }

        public byte[] Snapshot()
        {
            using var stream = new MemoryStream();
            using var writer = new BinaryWriter(stream);
            writer.Write(Form);
            writer.Write(_open);
            writer.Write(_lastIndex);
            _rhythm.Write(writer);
            return stream.ToArray();
        }

        /// <summary>From when on there is no news that there should be. Each version of the definition holds from its day to the next one's.</summary>
        private (DateTimeOffset At, TimeSpan? Declared, long Dataset)? NextDue()
        {
            DateTimeOffset? last = _rhythm.Last is { } known ? Microseconds.ToTime(known) : null;
            var learned = _rhythm.Due();
            for (var i = 0; i < _definitions.Count; i++)
            {
                var (from, definition) = _definitions[i];
                var until = i + 1 < _definitions.Count ? _definitions[i + 1].From : DateTimeOffset.MaxValue;
                if (until <= last)
                    continue;
                var at = definition.ExpectedEvery is { } every ? (last ?? from) + Allowed(every) : learned is { } due ? Microseconds.ToTime(due) : (DateTimeOffset?)null;
                if (at is not { } moment)
                    continue;
                // Expected only since this version: not before it was made.
                moment = moment < from ? from : moment;
                if (moment < until)
                    return (moment, definition.ExpectedEvery, definition.Number);
            }
            return null;
        }

        private static TimeSpan Allowed(TimeSpan every) => every + TimeSpan.FromTicks(Math.Max(LateMin.Ticks, every.Ticks / LateShare));
    }
}
