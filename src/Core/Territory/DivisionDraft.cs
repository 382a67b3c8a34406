namespace Gongzhi.Core.Territory;

/// <summary>The places of an import before it is known whether they hang together.</summary>
internal sealed class DivisionDraft
{
    private readonly Dictionary<PlaceCode, (Place Place, string Source, int Row)> _places = [];
    private readonly List<DivisionError> _errors = [];
    private int _merged;

    public int ErrorCount => _errors.Count;

    /// <summary>No use in reading on.</summary>
    public bool IsFull => _errors.Count >= DivisionCsv.ErrorsMax || _places.Count > TerritoryIndex.PlacesMax;

    public static string Quote(string text) => text.Length <= 40 ? $"'{text}'" : $"'{text[..40]}…'";

    public void Refuse(string source, int row, string field, string code, string sentence)
    {
        if (_errors.Count < DivisionCsv.ErrorsMax) _errors.Add(new DivisionError(source, row, field, code, sentence));
    }

    public void Add(DivisionRow row, Place place)
    {
        if (_places.TryAdd(place.Code, (place, row.Source, row.Row)))
        {
            if (_places.Count > TerritoryIndex.PlacesMax)
                row.Refuse("", "divisions.too-many", $"More than {TerritoryIndex.PlacesMax} places.");
            return;
        }

        var first = _places[place.Code];
        if (SaysTheSame(first.Place, place)) _merged++;
        else row.Refuse("code", "divisions.duplicate", $"{place.Code.Display12} was given already, as {Quote(first.Place.Name)} in row {first.Row} of {first.Source}.");
    }

    public DivisionImport Finish(Func<PlaceCode, bool> isKnown)
    {
        if (_errors.Count == 0)
        {
            if (_places.Count == 0) Refuse("", 0, "", "divisions.empty", "There is no place in the table.");
            foreach (var (place, source, row) in _places.Values) CheckLinks(place, source, row, isKnown);
            RefuseCircles("successors", "divisions.successor-circle", "The successors of this place lead back to it.", place => place.Successors);
            RefuseCircles("administeredBy", "divisions.administered-circle", "Who runs this place leads back to it.", Above);
        }

        return _errors.Count > 0
            ? new DivisionImport([], _errors, 0)
            : new DivisionImport([.. _places.Values.Select(entry => entry.Place).OrderBy(place => place.Code)], [], _merged);
    }

    private static bool SaysTheSame(Place one, Place other) =>
        one.Name == other.Name && one.NameEn == other.NameEn && one.ValidFrom == other.ValidFrom && one.ValidTo == other.ValidTo
        && one.AdministeredBy == other.AdministeredBy && one.Centre == other.Centre && one.Successors.SequenceEqual(other.Successors);

    private void CheckLinks(Place place, string source, int row, Func<PlaceCode, bool> isKnown)
    {
        if (!place.Parent.IsNone && !Exists(place.Parent))
            Refuse(source, row, "code", "divisions.parent-unknown", $"{place.Code.Display12} lies in {place.Parent.Display12}, which is not in the table.");
        foreach (var successor in place.Successors)
        {
            if (!Exists(successor)) Refuse(source, row, "successors", "divisions.successor", $"The successor {successor.Display12} is not in the table.");
        }

        if (!place.AdministeredBy.IsNone && !Exists(place.AdministeredBy))
            Refuse(source, row, "administeredBy", "divisions.administered-by", $"{place.AdministeredBy.Display12} is not in the table.");

        bool Exists(PlaceCode code) => _places.ContainsKey(code) || isKnown(code);
    }

    private static IReadOnlyList<PlaceCode> Above(Place place)
    {
        var above = place.AdministeredBy.IsNone ? place.Parent : place.AdministeredBy;
        return above.IsNone ? [] : [above];
    }

    // Depth-first with an own stack, since a hostile chain may be as long as the table. White: unseen; grey: on the way; black: done.
    private void RefuseCircles(string field, string code, string sentence, Func<Place, IReadOnlyList<PlaceCode>> links)
    {
        var black = new HashSet<PlaceCode>();
        var grey = new HashSet<PlaceCode>();
        var way = new Stack<(PlaceCode Code, int Next)>();
        foreach (var start in _places.Keys)
        {
            if (black.Contains(start)) continue;
            way.Push((start, 0));
            grey.Add(start);
            while (way.TryPop(out var step))
            {
                var next = _places.TryGetValue(step.Code, out var entry) ? links(entry.Place) : [];
                if (step.Next == next.Count)
                {
                    grey.Remove(step.Code);
                    black.Add(step.Code);
                    continue;
                }

                way.Push((step.Code, step.Next + 1));
                var target = next[step.Next];
                if (grey.Contains(target)) Refuse(entry.Source, entry.Row, field, code, sentence);
                else if (!black.Contains(target))
                {
                    way.Push((target, 0));
                    grey.Add(target);
                }
            }
        }
    }
}
