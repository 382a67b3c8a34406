using System.Globalization;
using Sylvan.Data.Csv;

namespace Gongzhi.Core.Territory;

/// <summary>Something wrong with a division table.</summary>
/// <param name="Source">The file.</param>
/// <param name="Row">As a spreadsheet counts: the header is 1. 0 when it concerns the file.</param>
/// <param name="Field">The column, or empty.</param>
/// <param name="Code">Stable and dotted: <c>divisions.parent-unknown</c>.</param>
/// <param name="Sentence">One English sentence that quotes the value.</param>
public sealed record DivisionError(string Source, int Row, string Field, string Code, string Sentence);

/// <summary>What an import gives: all the places or, with any error, none.</summary>
/// <param name="Places">In order of code.</param>
/// <param name="Errors">At most <see cref="DivisionCsv.ErrorsMax"/>.</param>
/// <param name="Merged">Rows that say again what another says, as the published tables do for prefectures without counties (441900 is 4419).</param>
public sealed record DivisionImport(IReadOnlyList<Place> Places, IReadOnlyList<DivisionError> Errors, int Merged)
{
    public bool Ok => Errors.Count == 0;
}

/// <summary>
/// Reads the division tree from CSV with a header: columns <c>code, name</c> and, where known, <c>nameEn, parent, validFrom, validTo,
/// successors, administeredBy, lon, lat, crs</c>; <c>provinceCode, cityCode, areaCode</c> of the published tables are checked against
/// the code; other columns are passed over. Dates are <c>yyyy-MM-dd</c>, validTo is the first day not valid, successors are
/// separated by blanks or semicolons, crs is one of WGS-84, CGCS2000, GCJ-02, BD-09 and must stand beside lon and lat.
/// </summary>
public static class DivisionCsv
{
    /// <summary>Errors reported before giving up; nobody reads more.</summary>
    public const int ErrorsMax = 100;

    /// <summary>Largest row, in characters; a real one has about 40.</summary>
    public const int RowCharactersMax = 64 * 1024;

    /// <summary>The four published files, from the top of the tree.</summary>
    public static IReadOnlyList<string> FolderFiles { get; } = ["provinces.csv", "cities.csv", "areas.csv", "streets.csv"];

    /// <summary>Reads the four published files of a folder.</summary>
    /// <param name="folder">A folder with <see cref="FolderFiles"/>, UTF-8; a missing file is an error of the import.</param>
    /// <param name="isKnown">Whether a code is known already, for an import that adds to a tree.</param>
    public static DivisionImport ReadFolder(string folder, Func<PlaceCode, bool>? isKnown = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        var missing = FolderFiles.Where(file => !File.Exists(Path.Combine(folder, file)))
            .Select(file => new DivisionError(file, 0, "", "divisions.file-missing", $"The file {file} is missing.")).ToList();
        if (missing.Count > 0) return new DivisionImport([], missing, 0);
        var readers = new List<(string, TextReader)>();
        try
        {
            foreach (var file in FolderFiles) readers.Add((file, new StreamReader(Path.Combine(folder, file))));
            return Read(readers, isKnown);
        }
        finally
        {
            foreach (var (_, reader) in readers) reader.Dispose();
        }
    }

    /// <summary>Reads one combined table. The reader stays the caller's.</summary>
    public static DivisionImport Read(TextReader reader, string source = "divisions.csv", Func<PlaceCode, bool>? isKnown = null) =>
        Read([(source, reader)], isKnown);

    /// <summary>Reads several tables as one tree. The readers stay the caller's.</summary>
    public static DivisionImport Read(IReadOnlyList<(string Source, TextReader Reader)> tables, Func<PlaceCode, bool>? isKnown = null)
    {
        ArgumentNullException.ThrowIfNull(tables);
        var draft = new DivisionDraft();
        foreach (var (source, reader) in tables)
        {
            if (draft.IsFull) break;
            ReadTable(source, reader, draft);
        }

        return draft.Finish(isKnown ?? (static _ => false));
    }

    private static void ReadTable(string source, TextReader reader, DivisionDraft draft)
    {
        if (reader.Peek() < 0)
        {
            draft.Refuse(source, 1, "code", "divisions.column-missing", "The table is empty.");
            return;
        }

        var row = 1;
        try
        {
            // The reader is kept open by the wrapper: it belongs to the caller.
            using var csv = CsvDataReader.Create(new KeptOpen(reader), new CsvDataReaderOptions
            {
                Delimiter = ',',
                HasHeaders = true,
                BufferSize = RowCharactersMax,
            });
            var columns = new Dictionary<string, int>(StringComparer.OrdinalIgnoreCase);
            for (var i = 0; i < csv.FieldCount; i++)
            {
                var header = csv.GetName(i).Trim().TrimStart('\uFEFF');
                if (header.Length > 0 && !columns.TryAdd(header, i))
                {
                    draft.Refuse(source, 1, header, "divisions.column-twice", $"The column {DivisionDraft.Quote(header)} occurs twice.");
                    return;
                }
            }

            foreach (var needed in (string[])["code", "name"])
            {
                if (!columns.ContainsKey(needed))
                {
                    draft.Refuse(source, 1, needed, "divisions.column-missing", $"The column '{needed}' is missing.");
                    return;
                }
            }

            while (!draft.IsFull && csv.Read())
            {
                row++;
                ReadRow(new DivisionRow(source, row, field => columns.TryGetValue(field, out var at) && at < csv.RowFieldCount ? csv.GetString(at).Trim() : "", draft));
            }
        }
        catch (Exception exception) when (exception is CsvFormatException or CsvRecordTooLargeException or InvalidDataException or FormatException)
        {
            draft.Refuse(source, row + 1, "", "divisions.csv", $"The table cannot be read as CSV after row {row}.");
        }
    }

    private static void ReadRow(DivisionRow row)
    {
        var errorsBefore = row.Draft.ErrorCount;
        var code = row.Code("code", required: true);
        var name = row.Text("name", Place.NameLengthMax);
        if (name is null) row.Refuse("name", "divisions.name", "The name is empty, too long or has control characters.");
        var nameEn = row.Text("nameEn", Place.NameLengthMax);
        if (nameEn is null && row.Field("nameEn").Length > 0) row.Refuse("nameEn", "divisions.name", "The English name is too long or has control characters.");

        // 350527000 for 350527 and 441900 for 4419 stand for the same place, so each is compared with what its digits mean.
        var parent = row.Code("parent", required: false);
        if (!parent.IsNone && parent != code.Parent)
            row.Refuse("parent", "divisions.parent", $"The parent {parent.Display12} is not the one the code says; a place run from elsewhere names it in administeredBy.");
        foreach (var above in (string[])["provinceCode", "cityCode", "areaCode"])
        {
            var stated = row.Code(above, required: false);
            if (!stated.IsNone && !code.IsWithin(stated)) row.Refuse(above, "divisions.parent", $"The code {code.Display12} does not lie in {stated.Display12}.");
        }

        var from = row.Date("validFrom");
        var to = row.Date("validTo");
        if (from is { } first && to is { } last && last <= first) row.Refuse("validTo", "divisions.validity", "validTo is not after validFrom.");
        var successors = row.Codes("successors", Place.SuccessorsMax);
        if (successors.Count > 0 && to is null) row.Refuse("successors", "divisions.validity", "A place with successors needs the day it ended in validTo.");
        if (successors.Contains(code)) row.Refuse("successors", "divisions.successor", "A place cannot succeed itself.");
        var zone = row.Code("administeredBy", required: false);
        if (!zone.IsNone && zone == code) row.Refuse("administeredBy", "divisions.administered-by", "A place cannot be run by itself in another place's stead.");
        var centre = row.Point();
        if (row.Draft.ErrorCount > errorsBefore) return;

        row.Draft.Add(row, new Place
        {
            Code = code,
            Name = name!,
            NameEn = nameEn,
            ValidFrom = from,
            ValidTo = to,
            Successors = successors,
            AdministeredBy = zone,
            IsPseudo = code.Level is PlaceLevel.Prefecture or PlaceLevel.County && IsPseudoName(name!),
            Centre = centre,
        });
    }

    /// <summary>Names that the numbering uses for a level that has no government of its own.</summary>
    public static bool IsPseudoName(string name) => name is "市辖区" or "县" or "省直辖县级行政区划" or "自治区直辖县级行政区划";

    // Passes reading through and keeps closing to itself.
    private sealed class KeptOpen(TextReader inner) : TextReader
    {
        public override int Peek() => inner.Peek();
        public override int Read() => inner.Read();
        public override int Read(char[] buffer, int index, int count) => inner.Read(buffer, index, count);
        public override int Read(Span<char> buffer) => inner.Read(buffer);
    }
}

/// <summary>One row while it is read: fields by name, and where to complain.</summary>
internal sealed class DivisionRow(string source, int row, Func<string, string> field, DivisionDraft draft)
{
    public string Source => source;
    public int Row => row;
    public DivisionDraft Draft => draft;

    public string Field(string name) => field(name);

    public void Refuse(string name, string code, string sentence) => draft.Refuse(source, row, name, code, sentence);

    public PlaceCode Code(string name, bool required)
    {
        var text = field(name);
        if (text.Length == 0 && !required) return default;
        if (PlaceCode.TryParse(text, out var code)) return code;
        Refuse(name, "divisions.code", $"{DivisionDraft.Quote(text)} is not a code of 2, 4, 6, 9, 12 or 15 digits.");
        return default;
    }

    public IReadOnlyList<PlaceCode> Codes(string name, int most)
    {
        var parts = field(name).Split([' ', ';'], StringSplitOptions.RemoveEmptyEntries);
        if (parts.Length > most) Refuse(name, "divisions.successor", $"More than {most} codes.");
        var codes = new List<PlaceCode>();
        foreach (var part in parts.Take(most))
        {
            if (!PlaceCode.TryParse(part, out var code)) Refuse(name, "divisions.code", $"{DivisionDraft.Quote(part)} is not a code of 2, 4, 6, 9, 12 or 15 digits.");
            else if (!codes.Contains(code)) codes.Add(code);
        }

        return codes;
    }

    public string? Text(string name, int most)
    {
        var text = field(name);
        return text.Length == 0 || text.Length > most || text.Any(char.IsControl) ? null : text;
    }

    public DateOnly? Date(string name)
    {
        var text = field(name);
        if (text.Length == 0) return null;
        if (DateOnly.TryParseExact(text, "yyyy-MM-dd", CultureInfo.InvariantCulture, DateTimeStyles.None, out var day)) return day;
        Refuse(name, "divisions.date", $"{DivisionDraft.Quote(text)} is not a date written yyyy-MM-dd.");
        return null;
    }

    public GeoPoint? Point()
    {
        var (lon, lat, crs) = (field("lon"), field("lat"), field("crs"));
        if (lon.Length == 0 && lat.Length == 0) return null;
        if (!double.TryParse(lon, NumberStyles.Float, CultureInfo.InvariantCulture, out var x) || !double.TryParse(lat, NumberStyles.Float, CultureInfo.InvariantCulture, out var y))
        {
            Refuse("lon", "divisions.coordinates", "lon and lat must both be numbers in degrees.");
            return null;
        }

        if (CrsNames.Read(crs) is not { } system)
        {
            Refuse("crs", "divisions.crs", "crs must be WGS-84, CGCS2000, GCJ-02 or BD-09 where there are coordinates.");
            return null;
        }

        if (Coordinates.TryRead(x, y, system, out var point)) return point;
        Refuse("lon", "divisions.coordinates", "lon and lat are not a point on the globe.");
        return null;
    }
}
