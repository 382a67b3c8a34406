using System.Globalization;

namespace Gongzhi.SampleCity;

/// <summary>
/// Draws the residents, cell after cell and household after household, so that nobody has to be kept. Each enumeration starts afresh and
/// gives the same people.
/// </summary>
internal static class Population
{
    // Oldest possible resident; sizes the table of numbers given out.
    private const int OldestAge = 104;

    // A day has 1,000 order numbers in an area, odd for men and even for women.
    private const int OrdersPerSex = 500;

    // Per mille: one young, one old, young pair, old pair, parents with one child, with two, one parent with a child, three generations.
    private static ReadOnlySpan<int> HouseholdShares => [110, 100, 90, 160, 240, 120, 60, 120];

    public static IEnumerable<Resident> Residents(ulong seed, IReadOnlyList<Place> cells)
    {
        var register = new Register(cells[0].Code[..4]);
        var household = 0;
        for (var cell = 0; cell < cells.Count; cell++)
        {
            var random = new SampleRandom(seed, RandomStream.Residents, cell);
            var households = random.Between(26, 51);
            for (var i = 0; i < households; i++)
            {
                household++;
                foreach (var resident in Household(random, cells[cell], household, register))
                    yield return resident;
            }
        }
    }

    private static List<Resident> Household(SampleRandom random, Place cell, int number, Register register)
    {
        var household = "H" + number.ToString("0000000", CultureInfo.InvariantCulture);
        var community = cell.Parent!;
        var surname = PersonNames.Surname(random);
        var members = new List<Resident>(6);
        var kind = random.Weighted(HouseholdShares);
        switch (kind)
        {
            case 0: Add(surname, random.Between(19, 46), random.Chance(530)); break;
            case 1: Add(surname, random.Between(60, 92), random.Chance(380)); break;
            case 2: Pair(random.Between(22, 50)); break;
            case 3: Pair(random.Between(50, 86)); break;
            default:
                var age = random.Between(25, 54);
                if (kind == 6)
                    Add(surname, age, random.Chance(300));
                else
                    Pair(age);
                Child(age);
                if (kind == 5)
                    Child(age);
                if (kind == 7)
                {
                    Add(surname, Math.Min(age + random.Between(23, 31), 96), random.Chance(450));
                    if (random.Chance(600))
                        Add(PersonNames.Surname(random), Math.Min(age + random.Between(22, 30), 96), random.Chance(250));
                }
                break;
        }
        return members;

        void Pair(int age)
        {
            Add(surname, age, true);
            Add(PersonNames.Surname(random), Math.Max(20, age + random.Between(-5, 3)), false);
        }

        void Child(int parentAge)
        {
            var age = parentAge - random.Between(23, 36);
            Add(surname, age is >= 0 and <= 27 ? age : random.Between(0, Math.Clamp(parentAge - 22, 1, 24)), random.Chance(522));
        }

        void Add(string family, int age, bool male) => members.Add(Person(random, family, age, male, community, household, register));
    }

    private static Resident Person(
        SampleRandom random, string surname, int age, bool male, string community, string household, Register register)
    {
        var born = City.LastDay.AddYears(-age).AddDays(-random.Below(365));
        var name = PersonNames.Full(surname, random);
        var occupation = Occupation(random, age);
        var updated = City.LastDay.AddDays(-Math.Min(random.Below(1500), City.LastDay.DayNumber - born.DayNumber));
        return new(register.Number(community, born, male), name, male ? "1" : "2", born, community, household, occupation, updated);
    }

    private static string Occupation(SampleRandom random, int age) => age switch
    {
        < 6 => "preschool",
        < 18 => "student",
        < 23 when random.Chance(680) => "student",
        >= 60 when random.Chance(860) => "retired",
        _ => random.Weighted([25, 160, 105, 370, 70, 200, 35, 35]) switch
        {
            0 => "manager",
            1 => "professional",
            2 => "clerk",
            3 => "service",
            4 => "farmer",
            5 => "production",
            6 => "home",
            _ => "unemployed",
        },
    };

    /// <summary>Gives out identity numbers, none of them twice. Owned by one enumeration.</summary>
    private sealed class Register(string cityCode)
    {
        private readonly Dictionary<string, ushort[]> given = [];

        public string Number(string community, DateOnly born, bool male)
        {
            var area = community[..(cityCode.Length + 2)];
            if (!given.TryGetValue(area, out var counts))
                given.Add(area, counts = new ushort[(OldestAge + 1) * 366 * 2]);
            var day = City.LastDay.DayNumber - born.DayNumber;
            ref var count = ref counts[day * 2 + (male ? 1 : 0)];
            if (count == OrdersPerSex)
                throw new InvalidOperationException("More births on one day than there are order numbers.");

            // 131 shares no factor with 500, so the orders of a day run through all values before any comes again.
            var order = (born.DayNumber * 7 + count * 131) % OrdersPerSex * 2 + (male ? 1 : 0);
            count++;
            Span<char> number = stackalloc char[18];
            area.CopyTo(number);
            born.TryFormat(number[6..], out _, "yyyyMMdd", CultureInfo.InvariantCulture);
            order.TryFormat(number[14..], out _, "000", CultureInfo.InvariantCulture);
            number[17] = CheckDigits.Identity(number[..17]);
            return new(number);
        }
    }
}
