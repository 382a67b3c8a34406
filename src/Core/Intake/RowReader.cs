using System.Runtime.CompilerServices;
using System.Text;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Catalog.ElementTypes;
using Gongzhi.Core.Intake.Formats;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Territory;

namespace Gongzhi.Core.Intake;

/// <summary>
/// Answers whether a place code is known, and strips its padding zeros. <paramref name="stripped"/> has 16 bytes; <paramref name="dated"/> is the
/// place and those above it as far as they have dates, most often none.
/// </summary>
public delegate bool PlaceReader(ReadOnlySpan<byte> code, Span<byte> stripped, out int length, out IReadOnlyList<Place> dated);

/// <summary>What a dataset's values are checked against besides the schema itself.</summary>
public sealed record IntakeRules
{
    public required PlaceReader Places { get; init; }

    /// <summary>A check by element type, null for none.</summary>
    public Func<string, ElementCheck?> ElementTypes { get; init; } = _ => null;

    /// <summary>The codes an element permits by its id; null for any.</summary>
    public Func<string, IReadOnlySet<string>?> ElementCodes { get; init; } = _ => null;

    /// <summary>Events may not lie further ahead than this; clocks differ, the future does not.</summary>
    public TimeSpan AheadMax { get; init; } = TimeSpan.FromDays(1);
}

/// <summary>Checks one text; <paramref name="today"/> is the day on which it was received, in the dataset's zone.</summary>
public delegate ElementFault ElementCheck(ReadOnlySpan<byte> text, DateOnly today);

/// <summary>
/// Applies a dataset's schema to chunks of cells: types, constraints, places, event times. Stateless between chunks, so several threads may
/// read different chunks; each call makes its own scratch.
/// </summary>
public sealed class RowReader
{
    private readonly Dataset _dataset;
    private readonly int[] _columnOf;
    private readonly FieldRule[] _rules;
    private readonly IntakeRules _intake;
    private readonly TimeZoneInfo _zone;
    private readonly byte[][] _missing;
    private readonly bool _emptyIsMissing;
    private readonly int _supersedesColumn;

    private RowReader(Dataset dataset, int[] columnOf, int supersedesColumn, IntakeRules intake)
    {
        _supersedesColumn = supersedesColumn;
        _dataset = dataset;
        _columnOf = columnOf;
        _intake = intake;
        _zone = TimeZoneInfo.FindSystemTimeZoneById(dataset.TimeZone);
        _rules = [.. dataset.Fields.Select(f => new FieldRule(f, intake, Required(dataset, f)))];
        _missing = [.. dataset.MissingValues.Where(v => v.Length > 0).Select(Encoding.UTF8.GetBytes)];
        _emptyIsMissing = dataset.MissingValues.Contains("");
    }

    private const int SuccessorsNamed = 5;

    /// <summary>The reserved column in which a correction names the record it supersedes; a field's name cannot begin so.</summary>
    public const string SupersedesColumn = "_supersedes";

    /// <summary>The columns a source may have, for formats that are asked by name.</summary>
    public static IReadOnlyList<string> ColumnsOf(Dataset dataset) => Kept.GetValue(dataset, d => new ByName(d)).Columns;

    /// <summary>Matches the file's columns to the dataset's fields; refuses unknown columns and missing required ones.</summary>
    public static Result<RowReader> For(Dataset dataset, IReadOnlyList<string> header, IntakeRules intake)
    {
        // Objects are asked for by these very names, and a report of one row should not make its rules anew each time.
        var kept = Kept.GetValue(dataset, d => new ByName(d));
        // Elements may be given other codes at any time.
        if (!header.SequenceEqual(kept.Columns) || dataset.Fields.Any(f => f.Element is not null))
            return Make(dataset, header, intake);
        if (kept.Reader is { } reader && ReferenceEquals(reader._intake, intake))
            return reader;
        var made = Make(dataset, header, intake);
        kept.Reader = made.Ok ? made.Value : null;
        return made;
    }

    /// <summary>What a version of a dataset asks of formats that are read by name. Lives as long as the version.</summary>
    private sealed class ByName(Dataset dataset)
    {
        public IReadOnlyList<string> Columns { get; } = [.. dataset.Fields.Select(f => f.Name), SupersedesColumn];

        public volatile RowReader? Reader;
    }

    private static readonly ConditionalWeakTable<Dataset, ByName> Kept = [];

    private static Result<RowReader> Make(Dataset dataset, IReadOnlyList<string> header, IntakeRules intake)
    {
        var unknown = header.Where(h => dataset.IndexOf(h) < 0 && h != SupersedesColumn).Take(20).ToArray();
        if (unknown.Length > 0)
        {
            return Problem.Invalid("records.unknownColumns", $"The file has columns that the dataset does not know: {string.Join(", ", unknown)}.", $"文件中有数据集没有的列：{string.Join("、", unknown)}。") with
            {
                Extensions = new Dictionary<string, object?> { ["columns"] = unknown },
            };
        }
        var columnOf = new int[dataset.Fields.Count];
        for (var f = 0; f < columnOf.Length; f++)
        {
            columnOf[f] = -1;
            for (var c = 0; c < header.Count; c++)
            {
                if (header[c] == dataset.Fields[f].Name)
                    columnOf[f] = c;
            }
        }
        var absent = dataset.Fields.Where((f, i) => columnOf[i] < 0 && Required(dataset, f)).Select(f => f.Name).Take(20).ToArray();
        if (absent.Length > 0)
        {
            return Problem.Invalid("records.missingColumns", $"The file lacks columns that the dataset requires: {string.Join(", ", absent)}.", $"文件缺少数据集要求的列：{string.Join("、", absent)}。") with
            {
                Extensions = new Dictionary<string, object?> { ["columns"] = absent },
            };
        }
        return new RowReader(dataset, columnOf, header.ToList().IndexOf(SupersedesColumn), intake);
    }

    /// <summary>A part of the primary key must have a value, as the Table Schema has it.</summary>
    private static bool Required(Dataset dataset, Field field) => field.Constraints.Required || dataset.PrimaryKey.Contains(field.Name);

    /// <summary>
    /// Checks every row of <paramref name="chunk"/>. Rows with faults are left out of the result and listed in <paramref name="errors"/>, in
    /// row order. <paramref name="received"/> is in microseconds UTC.
    /// </summary>
    public RowColumns Read(CellChunk chunk, long received, List<RowError> errors)
    {
        chunk.Complete();
        var rows = new RowColumns(_dataset, chunk.Rows) { Text = chunk.Text, Rows = chunk.Rows };
        var scratch = new Scratch(chunk, rows, _zone, DateOnly.FromDateTime(TimeZoneInfo.ConvertTime(Microseconds.ToTime(received), _zone).DateTime));
        var hasNul = chunk.Text.AsSpan(0, chunk.TextLength).Contains((byte)0);
        foreach (var fault in chunk.Faults ?? Enumerable.Empty<RowFault>())
            scratch.Reject(fault.Row, new RowError(chunk.FirstRow + fault.Row, null, fault.Code, fault.Why));
        for (var f = 0; f < _rules.Length; f++)
            ReadColumn(scratch, rows.Fields[f], _rules[f], _columnOf[f], hasNul);
        foreach (var point in _dataset.Points)
            ConvertPoint(scratch, rows.Fields[_dataset.IndexOf(point.Lon)], rows.Fields[_dataset.IndexOf(point.Lat)], point.Crs);
        ReadTimes(scratch, received);
        CheckPlaceDates(scratch);
        if (_supersedesColumn >= 0)
            ReadSupersedes(scratch, _supersedesColumn);
        errors.AddRange(scratch.Errors.OrderBy(e => e.Row));
        scratch.Compact();
        rows.Text = scratch.Text;
        return rows;
    }

    private void ReadColumn(Scratch s, FieldColumn column, FieldRule rule, int c, bool hasNul)
    {
        var chunk = s.Chunk;
        if (c < 0)
        {
            column.Nulls.AsSpan(0, chunk.Rows).Fill(true);
            return;
        }
        var type = column.Field.Type;
        for (var r = 0; r < chunk.Rows; r++)
        {
            var kind = chunk.Kind(r, c);
            var cell = chunk.Cell(r, c);
            if (kind == CellKind.Missing || IsMissing(cell))
            {
                column.Nulls[r] = true;
                if (rule.Required)
                    s.Reject(r, column, "required", new("A value is required here.", "此项必填。"));
                continue;
            }
            if (kind == CellKind.Inexact)
            {
                column.Nulls[r] = true;
                s.Reject(r, column, "inexact", new("The file no longer holds this value exactly; format the column as text at the source and enter it again.", "文件中的数值已失真；请在来源处将该列设为文本格式后重新填写。"));
                continue;
            }
            if (hasNul && cell.Contains((byte)0))
            {
                column.Nulls[r] = true;
                s.Reject(r, column, "text", new("The text contains the character U+0000, which is not allowed.", "文本中含有不允许的字符 U+0000。"));
                continue;
            }
            var fault = type switch
            {
                FieldType.String => ReadText(s, column, rule, r, c, cell),
                FieldType.Place => ReadPlace(s, column, r, c, cell),
                _ => ReadScalar(s, column, rule, r, kind, cell),
            };
            if (fault is { } found)
            {
                column.Nulls[r] = true;
                s.Reject(r, column, found.Code, found.Why);
            }
        }
    }

    private bool IsMissing(ReadOnlySpan<byte> cell)
    {
        if (cell.IsEmpty)
            return _emptyIsMissing;
        foreach (var missing in _missing)
        {
            if (cell.SequenceEqual(missing))
                return true;
        }
        return false;
    }

    private static ValueParser.Fault? ReadText(Scratch s, FieldColumn column, FieldRule rule, int r, int c, ReadOnlySpan<byte> cell)
    {
        var i = r * s.Chunk.Columns + c;
        column.Starts[r] = s.Chunk.Starts[i];
        column.Lengths[r] = cell.Length;
        var fault = rule.HasTextRules ? rule.CheckText(cell, s.Today) : null;
        // Plain text is kept as it came, also text that a spreadsheet program ruined: real invoice numbers are full of it. Where the schema asks
        // for digits, by a pattern or an element type, this says why they are missing.
        return fault is not null && ValueParser.LooksRounded(cell) ? ValueParser.Rounded : fault;
    }

    private ValueParser.Fault? ReadPlace(Scratch s, FieldColumn column, int r, int c, ReadOnlySpan<byte> cell)
    {
        Span<byte> stripped = stackalloc byte[16];
        var trimmed = Trim(cell);
        if (!_intake.Places(trimmed, stripped, out var length, out var dated))
            return new("place", "No place has this division code.", "没有这个区划代码。");
        // Judged by the event's day, which is known when the times are read; a field that is not where the event was may name what is no more.
        if (dated.Count > 0 && ReferenceEquals(column, s.PlaceColumn))
            (s.Dated ??= []).Add((r, dated));
        if (trimmed.StartsWith(stripped[..length]))
        {
            column.Starts[r] = s.Chunk.Starts[r * s.Chunk.Columns + c] + (cell.Length - cell.TrimStart((byte)' ').Length);
            column.Lengths[r] = length;
        }
        else
        {
            (column.Starts[r], column.Lengths[r]) = s.Append(stripped[..length]);
        }
        return null;
    }

    private static ValueParser.Fault? ReadScalar(Scratch s, FieldColumn column, FieldRule rule, int r, CellKind kind, ReadOnlySpan<byte> cell)
    {
        scoped ReadOnlySpan<byte> text = Trim(cell);
        Span<byte> narrow = stackalloc byte[128];
        if ((text.Length > 0 && text[0] >= 0x80) || (text.Length > 1 && text[^1] >= 0x80))
        {
            // Full-width digits and signs are how Chinese keyboards write numbers; anything else stays and fails by type.
            if (text.Length <= narrow.Length)
                text = narrow[..FullWidth.Normalise(text, narrow)];
        }
        var field = column.Field;
        var fault = field.Type switch
        {
            // A number in the source's own type system says what it is; in text an exponent is what a spreadsheet program left of the digits.
            FieldType.Integer => ValueParser.Integer(text, out column.Values[r], exponents: kind == CellKind.Number),
            FieldType.Decimal => ValueParser.Decimal(text, field.Scale, out column.Values[r], exponents: kind == CellKind.Number),
            FieldType.Double => kind != CellKind.Number && ValueParser.LooksRounded(text) ? ValueParser.Rounded : ValueParser.Double(text, out column.Values[r]),
            FieldType.Boolean => ValueParser.Boolean(text, out column.Values[r]),
            FieldType.Date => ValueParser.Date(text, out column.Values[r]),
            FieldType.DateTime => ValueParser.DateTime(text, s.Zone, out column.Values[r]),
            FieldType.Time => ValueParser.Time(text, out column.Values[r]),
            FieldType.Year => ValueParser.Year(text, out column.Values[r]),
            FieldType.YearMonth => ValueParser.YearMonth(text, out column.Values[r]),
            _ => throw new InvalidOperationException($"No reader for {field.Type}."),
        };
        return fault ?? (rule.HasScalarRules ? rule.CheckScalar(column.Values[r], text) : null);
    }

    private void ReadTimes(Scratch s, long received)
    {
        var rows = s.Rows;
        if (rows.TimeIndex < 0)
        {
            rows.Times.AsSpan(0, rows.Rows).Fill(received);
            return;
        }
        var latest = received + (long)_intake.AheadMax.TotalMicroseconds;
        var column = rows.Fields[rows.TimeIndex];
        for (var r = 0; r < rows.Rows; r++)
        {
            if (column.Nulls[r])
            {
                rows.Times[r] = received;
                continue;
            }
            var value = column.Values[r];
            var time = value;
            if (column.Field.Type != FieldType.DateTime)
            {
                var day = column.Field.Type switch
                {
                    FieldType.Date => value,
                    FieldType.Year => new DateOnly((int)value, 1, 1).DayNumber - UnixDay,
                    _ => new DateOnly((int)(value / 12), (int)(value % 12) + 1, 1).DayNumber - UnixDay,
                };
                // Midnight may be skipped by a clock change; then the day began an hour later.
                if (!s.Zone.ToUtc(day, day * ValueParser.MicrosecondsPerDay, out time))
                    s.Zone.ToUtc(day, day * ValueParser.MicrosecondsPerDay + TimeSpan.MicrosecondsPerHour, out time);
            }
            rows.Times[r] = time;
            if (time > latest)
                s.Reject(r, column, "time", new("The event lies in the future.", "时间晚于当前。"));
        }
    }

    /// <summary>Puts a point into the one system that is kept, before anything is stored or hashed. The fields' own limits saw the values as they came.</summary>
    private static void ConvertPoint(Scratch s, FieldColumn lon, FieldColumn lat, CoordinateSystem crs)
    {
        var shifted = crs is CoordinateSystem.Gcj02 or CoordinateSystem.Bd09;
        for (var r = 0; r < s.Chunk.Rows; r++)
        {
            if (s.IsRejected(r) || (lon.Nulls[r] && lat.Nulls[r]))
                continue;
            if (lon.Nulls[r] || lat.Nulls[r])
                s.Reject(r, lon.Nulls[r] ? lon : lat, "point", new Sentence("A point has both a longitude and a latitude, or neither.", "坐标点的经度和纬度须同时填写或同时留空。"));
            else if (!Coordinates.TryRead(Degrees(lon, r), Degrees(lat, r), crs, out var point))
                s.Reject(r, lon, "point", new Sentence("The longitude and the latitude are not a point on the globe.", "该经纬度不是有效的坐标点。"));
            else if (shifted)
                (lon.Values[r], lat.Values[r]) = (Kept(lon, point.Lon), Kept(lat, point.Lat));
        }

        static double Degrees(FieldColumn column, int r) => column.Field.Type == FieldType.Double
            ? BitConverter.Int64BitsToDouble(column.Values[r]) : (double)DecimalText.Exact(column.Values[r], column.Field.Scale);

        // Seven decimals are a centimetre; more would be noise of the conversion.
        static long Kept(FieldColumn column, double degrees)
        {
            var rounded = Math.Round((decimal)degrees, Math.Min(7, column.Field.Type == FieldType.Double ? 7 : column.Field.Scale), MidpointRounding.ToEven);
            if (column.Field.Type == FieldType.Double)
                return BitConverter.DoubleToInt64Bits((double)rounded);
            for (var i = 0; i < column.Field.Scale; i++)
                rounded *= 10;
            return (long)rounded;
        }
    }

    /// <summary>A record names a division that was in use on its day. A year or a month was when any day of it was.</summary>
    private void CheckPlaceDates(Scratch s)
    {
        if (s.Dated is not { } dated)
            return;
        var column = s.PlaceColumn!;
        foreach (var (r, places) in dated)
        {
            var (first, last) = Days(s, r);
            foreach (var place in places)
            {
                if (place.ValidFrom is { } from && last < from)
                    s.Reject(r, column, "placeEarly", new Sentence($"This division is in use from {from:yyyy-MM-dd} only.", $"该区划自 {from:yyyy-MM-dd} 起才启用。"));
                else if (place.ValidTo is { } to && first >= to)
                    s.Reject(r, column, "placeEnded", Ended(place, to));
                else
                    continue;
                break;
            }
        }
    }

    private static Sentence Ended(Place place, DateOnly to)
    {
        var list = string.Join(", ", place.Successors.Take(SuccessorsNamed)) + (place.Successors.Count > SuccessorsNamed ? ", …" : "");
        var (english, chinese) = place.Successors.Count switch
        {
            0 => ("nothing succeeded it", "没有后继区划"),
            1 => ("its successor is " + list, "后继区划为 " + list),
            _ => ("its successors are " + list, "后继区划为 " + list),
        };
        return new($"This division was in use until {to:yyyy-MM-dd} only; {english}.", $"该区划已于 {to:yyyy-MM-dd} 停用；{chinese}。");
    }

    private (DateOnly First, DateOnly Last) Days(Scratch s, int r)
    {
        var column = s.Rows.TimeIndex < 0 ? null : s.Rows.Fields[s.Rows.TimeIndex];
        if (column is { Field.Type: FieldType.Year } && !column.Nulls[r])
            return (new DateOnly((int)column.Values[r], 1, 1), new DateOnly((int)column.Values[r], 12, 31));
        if (column is { Field.Type: FieldType.YearMonth } && !column.Nulls[r])
        {
            var month = new DateOnly((int)(column.Values[r] / 12), (int)(column.Values[r] % 12) + 1, 1);
            return (month, month.AddMonths(1).AddDays(-1));
        }
        var day = DateOnly.FromDateTime(TimeZoneInfo.ConvertTimeFromUtc(DateTime.UnixEpoch.AddMicroseconds(s.Rows.Times[r]), _zone));
        return (day, day);
    }

    private static void ReadSupersedes(Scratch s, int c)
    {
        var chunk = s.Chunk;
        for (var r = 0; r < chunk.Rows; r++)
        {
            var cell = Trim(chunk.Cell(r, c));
            if (cell.IsEmpty || chunk.Kind(r, c) == CellKind.Missing)
                continue;
            if (System.Buffers.Text.Utf8Parser.TryParse(cell, out Guid record, out var used, 'D') && used == cell.Length && RecordId.TrySplit(record, out _, out _))
                (s.Rows.Supersedes ??= new Guid?[chunk.Rows])[r] = record;
            else
                s.Reject(r, new RowError(chunk.FirstRow + r, SupersedesColumn, "recordId", new("This is not the id of a record.", "这不是记录编号。")));
        }
    }

    private static readonly int UnixDay = new DateOnly(1970, 1, 1).DayNumber;

    private static ReadOnlySpan<byte> Trim(ReadOnlySpan<byte> cell)
    {
        while (cell.Length > 0 && cell[0] is (byte)' ' or (byte)'\t')
            cell = cell[1..];
        while (cell.Length > 0 && cell[^1] is (byte)' ' or (byte)'\t')
            cell = cell[..^1];
        return cell;
    }

    /// <summary>What one call needs: errors, the rows rejected, and text that is not in the source (stripped codes).</summary>
    private sealed class Scratch(CellChunk chunk, RowColumns rows, TimeZoneInfo zone, DateOnly today)
    {
        private bool[]? _rejected;
        private int _appended;

        public CellChunk Chunk { get; } = chunk;
        public RowColumns Rows { get; } = rows;
        public LocalClock Zone { get; } = new(zone);
        public DateOnly Today { get; } = today;
        public List<RowError> Errors { get; } = [];

        /// <summary>The column that says where the event was, if the dataset has one.</summary>
        public FieldColumn? PlaceColumn { get; } = rows.PlaceIndex < 0 ? null : rows.Fields[rows.PlaceIndex];

        /// <summary>Rows whose place has dates to be judged by.</summary>
        public List<(int Row, IReadOnlyList<Place> Places)>? Dated { get; set; }

        /// <summary>The chunk's own buffer, or a copy with what was appended behind it.</summary>
        public byte[] Text { get; private set; } = chunk.Text;

        public bool IsRejected(int row) => _rejected?[row] == true;

        public void Reject(int row, FieldColumn column, string code, Sentence why) =>
            Reject(row, new RowError(Chunk.FirstRow + row, column.Field.Name, code, why));

        public void Reject(int row, RowError error)
        {
            _rejected ??= new bool[Chunk.Rows];
            _rejected[row] = true;
            Errors.Add(error);
        }

        public (int Start, int Length) Append(ReadOnlySpan<byte> text)
        {
            var at = Chunk.TextLength + _appended;
            if (ReferenceEquals(Text, Chunk.Text) || Text.Length < at + text.Length)
            {
                var larger = new byte[Math.Max(at + text.Length, Chunk.TextLength + _appended * 2 + 4_096)];
                Text.AsSpan(0, at).CopyTo(larger);
                Text = larger;
            }
            text.CopyTo(Text.AsSpan(at));
            _appended += text.Length;
            return (at, text.Length);
        }

        /// <summary>Closes the gaps that rejected rows leave.</summary>
        public void Compact()
        {
            if (_rejected is null)
                return;
            Rows.RemoveWhere(_rejected);
        }
    }
}
