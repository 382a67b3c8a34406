using Gongzhi.Analysis;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Records;

namespace Gongzhi.Core.Signals;

/// <summary>A source (a dataset and the unit that contributes to it) that brings far more or far fewer rows in a day than its days of that weekday do.</summary>
public sealed class VolumeAnalysis : IAnalysis
{
    public const string Many = "volume.many", Few = "volume.few";

    /// <summary>After midnight, before a day is closed: what was received then is on its way into the log.</summary>
    private static readonly TimeSpan Grace = TimeSpan.FromMinutes(5);

    public string Name => "volume";
    public int Version => 1;

    public bool Watches(Dataset dataset) => true;

    public IEnumerable<string> Partitions(AnalysisBatch batch, RowColumns? rows) => [$"{batch.Dataset.Id}/{batch.Unit ?? "-"}"];

    public IAnalysisState Open(string partition, byte[]? snapshot, IReadOnlyList<DatedDefinition> definitions) => new State(partition, snapshot, definitions);

    private sealed class State : IAnalysisState
    {
        private const byte Form = 1;
        private readonly Dataset? _dataset;
        private readonly TimeZoneInfo _zone;
        private readonly string? _unit;
        private readonly DailyVolume _volume = new();
        private string? _open;
        private long _firstIndex = -1;
        private long _lastIndex;

        public State(string partition, byte[]? snapshot, IReadOnlyList<DatedDefinition> definitions)
        {
            // The first definition's zone: a day must not change its length under what was counted in it.
            _dataset = definitions.Count > 0 ? definitions[0].Dataset : null;
            _zone = TimeZoneInfo.FindSystemTimeZoneById(_dataset?.TimeZone ?? "UTC");
            _unit = partition[(partition.IndexOf('/', StringComparison.Ordinal) + 1)..] is var unit && unit == "-" ? null : unit;
            if (snapshot is null)
                return;
            using var reader = new BinaryReader(new MemoryStream(snapshot));
            if (reader.ReadByte() != Form)
                throw new InvalidDataException("The state is of another form.");
            var open = reader.ReadString();
            (_open, _firstIndex, _lastIndex) = (open.Length == 0 ? null : open, reader.ReadInt64(), reader.ReadInt64());
            _volume = DailyVolume.Read(reader);
        }

        public DateTimeOffset? Due => _volume.Today is { } today ? StartOf(today + 1) + Grace : null;

        public void Process(AnalysisBatch batch, RowColumns? rows, SignalSink sink)
        {
            var day = DateOnly.FromDateTime(TimeZoneInfo.ConvertTime(batch.Received, _zone).DateTime).DayNumber;
            // Received before a day that is closed: counted in the one that is open.
            day = Math.Max(day, _volume.Today ?? day);
            CloseBefore(day, sink);
            if (_firstIndex < 0)
                _firstIndex = batch.Index;
            _lastIndex = batch.Index;
            if (_volume.Add(day, batch.Rows) is { } many && _open != Many)
                Raise(many, batch.Received, sink);
        }

        public void Tick(DateTimeOffset now, SignalSink sink) => CloseBefore(DateOnly.FromDateTime(TimeZoneInfo.ConvertTime(now - Grace, _zone).DateTime).DayNumber, sink);

        public byte[] Snapshot()
        {
            using var stream = new MemoryStream();
            using var writer = new BinaryWriter(stream);
            writer.Write(Form);
            writer.Write(_open ?? "");
            writer.Write(_firstIndex);
            writer.Write(_lastIndex);
            _volume.Write(writer);
            return stream.ToArray();
        }

        private void CloseBefore(int day, SignalSink sink)
        {
            foreach (var (closed, unusual) in _volume.Advance(day))
            {
                if (unusual is null && _open is not null)
                    End(StartOf(closed + 1), sink);
                else if (unusual is not null && _open != (unusual.TooMany ? Many : Few))
                    Raise(unusual, StartOf(closed + 1), sink);
                _firstIndex = -1;
            }
        }

        private void Raise(UnusualDay day, DateTimeOffset moment, SignalSink sink)
        {
            if (_open is not null)
                End(moment, sink);
            _open = day.TooMany ? Many : Few;
            var figures = new Dictionary<string, Figure>(StringComparer.Ordinal)
            {
                ["day"] = StartOf(day.Day), ["rows"] = day.Rows, ["expected"] = Math.Round(day.Usual.Expected, 1), ["days"] = day.Usual.Days, ["largest"] = day.Usual.Largest,
                ["probability"] = day.Probability,
            };
            if (day.LikeRestDay)
                figures["rest-day"] = 1;
            sink.Raise(_open, day.LikeRestDay ? SignalSeverity.Notice : SignalSeverity.Warning, _dataset?.Number ?? 0, _unit, null, _open, _firstIndex < 0 ? _lastIndex : _firstIndex, _lastIndex, moment, figures);
        }

        private void End(DateTimeOffset moment, SignalSink sink)
        {
            sink.End(_open!, _lastIndex, moment);
            _open = null;
        }

        private DateTimeOffset StartOf(int day)
        {
            var midnight = DateOnly.FromDayNumber(day).ToDateTime(TimeOnly.MinValue);
            return new DateTimeOffset(midnight, _zone.GetUtcOffset(midnight)).ToUniversalTime();
        }
    }
}
