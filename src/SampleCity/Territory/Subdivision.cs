namespace Gongzhi.SampleCity;

/// <summary>
/// Cuts a convex outline again and again by straight lines into pieces of wanted sizes, then bends the whole sheet smoothly.
/// Corners are shared by number: a corner put on an edge by one piece is remembered for the piece on the other side, so pieces of every level
/// meet without gap or overlap, to the last digit. Only + − × ÷ and comparison are used: trigonometry differs between machines.
/// </summary>
internal sealed class Subdivision(SampleRandom random)
{
    // Lengths are in radii of the city. A cell is about 0.04 across; corners nearer than this become one.
    private const double SnapDistance = 0.003;

    // Somewhere in the empty dunes of the Badain Jaran desert; see README.md. Radii in millionths of a degree.
    private const double CentreLongitudeE6 = 101_600_000;
    private const double CentreLatitudeE6 = 40_600_000;
    private const double RadiusLongitudeE6 = 172_000;
    private const double RadiusLatitudeE6 = 124_000;

    private readonly List<(double X, double Y)> corners = [];
    private readonly Dictionary<(int, int), int> cutEdges = [];
    private readonly (double A, double B, double C, double D) phase = (random.Unit(), random.Unit(), random.Unit(), random.Unit());

    /// <summary>A convex sixteen-sided figure in the unit circle: rational points, four in each quarter.</summary>
    public int[] Outline()
    {
        for (var quarter = 0; quarter < 4; quarter++)
        {
            for (var step = 0; step < 4; step++)
            {
                var t = (step + 0.15 + 0.7 * random.Unit()) / 4;
                var x = (1 - t * t) / (1 + t * t);
                var y = 2 * t / (1 + t * t);
                corners.Add(quarter switch { 0 => (x, y), 1 => (-y, x), 2 => (-x, -y), _ => (y, -x) });
            }
        }
        return [.. Enumerable.Range(0, corners.Count)];
    }

    /// <summary>Cuts a piece into as many pieces as there are weights, with areas in proportion to them.</summary>
    public List<int[]> Divide(int[] ring, int[] weights)
    {
        var pieces = new List<int[]>(weights.Length);
        Divide(ring, weights, pieces);
        return pieces;
    }

    /// <summary>The piece with every corner that any neighbour put on its edges, bent and on the globe; closed.</summary>
    public GeoPoint[] Draw(int[] ring)
    {
        var expanded = Expand(ring);
        var points = new GeoPoint[expanded.Count + 1];
        for (var i = 0; i < expanded.Count; i++)
            points[i] = Bend(corners[expanded[i]]);
        points[^1] = points[0];
        return points;
    }

    private void Divide(int[] ring, ReadOnlySpan<int> weights, List<int[]> pieces)
    {
        if (weights.Length == 1)
        {
            pieces.Add(ring);
            return;
        }
        var half = weights.Length / 2;
        if (weights.Length % 2 == 1 && random.Chance(500))
            half++;
        var (left, total) = (0, 0);
        for (var i = 0; i < weights.Length; i++)
        {
            left += i < half ? weights[i] : 0;
            total += weights[i];
        }
        var (first, second) = Cut(ring, (double)left / total);
        Divide(first, weights[..half], pieces);
        Divide(second, weights[half..], pieces);
    }

    private (int[] Below, int[] Above) Cut(int[] ring, double share)
    {
        var current = Expand(ring);
        var (nx, ny) = AcrossTheLongWay(current);
        var offset = OffsetFor(current, nx, ny, share);

        var augmented = new List<int>(current.Count + 2);
        var (up, down) = (-1, -1);
        for (var i = 0; i < current.Count; i++)
        {
            var (a, b) = (current[i], current[(i + 1) % current.Count]);
            augmented.Add(a);
            var (da, db) = (Height(a, nx, ny) - offset, Height(b, nx, ny) - offset);
            if (da < 0 == db < 0)
                continue;
            var corner = CornerOn(a, b, da / (da - db));
            if (corner != a && corner != b)
                augmented.Add(corner);
            if (da < 0)
                up = corner;
            else
                down = corner;
        }
        var (start, end) = (augmented.IndexOf(up), augmented.IndexOf(down));
        if (start < 0 || end < 0 || start == end)
            throw new InvalidOperationException("A cut did not cross its piece twice.");
        return (Walk(augmented, end, start), Walk(augmented, start, end));
    }

    private int CornerOn(int a, int b, double along)
    {
        var (p, q) = (corners[a], corners[b]);
        var (dx, dy) = (q.X - p.X, q.Y - p.Y);
        var length2 = dx * dx + dy * dy;
        if (along * along * length2 < SnapDistance * SnapDistance)
            return a;
        if ((1 - along) * (1 - along) * length2 < SnapDistance * SnapDistance)
            return b;
        corners.Add((p.X + along * dx, p.Y + along * dy));
        cutEdges.Add((Math.Min(a, b), Math.Max(a, b)), corners.Count - 1);
        return corners.Count - 1;
    }

    private static int[] Walk(List<int> ring, int from, int to)
    {
        var piece = new List<int>();
        for (var i = from; ; i = (i + 1) % ring.Count)
        {
            piece.Add(ring[i]);
            if (i == to)
                return [.. piece];
        }
    }

    private List<int> Expand(ReadOnlySpan<int> ring)
    {
        var result = new List<int>(ring.Length + 4);
        for (var i = 0; i < ring.Length; i++)
            ExpandEdge(ring[i], ring[(i + 1) % ring.Length], result);
        return result;
    }

    private void ExpandEdge(int a, int b, List<int> result)
    {
        if (cutEdges.TryGetValue((Math.Min(a, b), Math.Max(a, b)), out var middle))
        {
            ExpandEdge(a, middle, result);
            ExpandEdge(middle, b, result);
        }
        else
        {
            result.Add(a);
        }
    }

    /// <summary>The direction of the longest diagonal, turned at random by up to about 17 degrees: lines across it make compact pieces.</summary>
    private (double X, double Y) AcrossTheLongWay(List<int> ring)
    {
        var (best, x, y) = (-1.0, 0.0, 0.0);
        for (var i = 0; i < ring.Count; i++)
        {
            for (var j = i + 1; j < ring.Count; j++)
            {
                var (dx, dy) = (corners[ring[j]].X - corners[ring[i]].X, corners[ring[j]].Y - corners[ring[i]].Y);
                if (dx * dx + dy * dy > best)
                    (best, x, y) = (dx * dx + dy * dy, dx, dy);
            }
        }
        var turn = 0.6 * random.Unit() - 0.3;
        return (x - turn * y, y + turn * x);
    }

    private double OffsetFor(List<int> ring, double nx, double ny, double share)
    {
        var (low, high) = (double.MaxValue, double.MinValue);
        foreach (var corner in ring)
        {
            var height = Height(corner, nx, ny);
            (low, high) = (Math.Min(low, height), Math.Max(high, height));
        }
        var wanted = AreaBelow(ring, nx, ny, double.MaxValue) * share;
        for (var step = 0; step < 40; step++)
        {
            var middle = (low + high) / 2;
            if (AreaBelow(ring, nx, ny, middle) < wanted)
                low = middle;
            else
                high = middle;
        }
        return (low + high) / 2;
    }

    /// <summary>Twice the area of the part of a convex ring whose height is below the offset.</summary>
    private double AreaBelow(List<int> ring, double nx, double ny, double offset)
    {
        var (area, first, last, any) = (0.0, (X: 0.0, Y: 0.0), (X: 0.0, Y: 0.0), false);
        for (var i = 0; i < ring.Count; i++)
        {
            var (a, b) = (ring[i], ring[(i + 1) % ring.Count]);
            var (da, db) = (Height(a, nx, ny) - offset, Height(b, nx, ny) - offset);
            if (da < 0)
                Visit(corners[a]);
            if (da < 0 != db < 0)
            {
                var along = da / (da - db);
                var (p, q) = (corners[a], corners[b]);
                Visit((p.X + along * (q.X - p.X), p.Y + along * (q.Y - p.Y)));
            }
        }
        return area + (last.X * first.Y - first.X * last.Y);

        void Visit((double X, double Y) point)
        {
            if (any)
                area += last.X * point.Y - point.X * last.Y;
            else
                (first, any) = (point, true);
            last = point;
        }
    }

    private double Height(int corner, double nx, double ny) => corners[corner].X * nx + corners[corner].Y * ny;

    /// <summary>
    /// Draws the middle together (an old town has small cells), then shears the sheet by waves, along and across. Each step can be undone,
    /// so nothing overlaps; cells are small against the waves, so their straight edges stay in order.
    /// </summary>
    private GeoPoint Bend((double X, double Y) p)
    {
        var pull = 0.55 + 0.45 * (p.X * p.X + p.Y * p.Y);
        var (x, y) = (p.X * pull, p.Y * pull);
        x += 0.07 * Wave(0.6 * y + phase.A) + 0.012 * Wave(2.3 * y + phase.B);
        y += 0.09 * Wave(0.5 * x + phase.C) + 0.014 * Wave(1.9 * x + phase.D);
        return new((int)Math.Round(CentreLongitudeE6 + RadiusLongitudeE6 * x), (int)Math.Round(CentreLatitudeE6 + RadiusLatitudeE6 * y));
    }

    /// <summary>A smooth wave of period 1 and height ±1, made of parabolas.</summary>
    private static double Wave(double t)
    {
        t -= Math.Floor(t);
        return t < 0.5 ? 16 * t * (0.5 - t) : -16 * (t - 0.5) * (1 - t);
    }
}
